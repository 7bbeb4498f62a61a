"""The conformance kit: what a transform, sampler or localisation net must keep, as test classes to inherit.

The whole test file of a plugin::

    from stn_lightning.testing import TransformChecks


    class TestSwirl(TransformChecks):
        name = "swirl"
        variants = ({}, {"radius": 0.5})

It needs pytest, and ONNX checks need ``onnx``, ``onnxruntime`` and ``onnxscript``: ``pip install stn-lightning[testing]``.
``stn check-plugin NAME`` runs the same checks on an installed plugin.
"""

try:
    import pytest as pytest
except ImportError as e:
    raise ImportError("stn_lightning.testing needs pytest: pip install 'stn-lightning[testing]'") from e

from stn_lightning.testing._component_checks import ComponentChecks
from stn_lightning.testing._localisation_checks import LocalisationChecks
from stn_lightning.testing._sampler_checks import SamplerChecks
from stn_lightning.testing._transform_checks import TransformChecks

__all__ = ["ComponentChecks", "LocalisationChecks", "SamplerChecks", "TransformChecks"]
