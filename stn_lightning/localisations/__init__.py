"""Localisation nets: feature map to theta.

The nets are plugins: ``registry["conv"]``, ``stn_lightning.localisations.conv``, ``--model.localisation=conv``.
"""

from typing import Any

from stn_lightning.localisations._backbone import Backbone
from stn_lightning.localisations._bounded import Bounded
from stn_lightning.localisations._conv import Convolutional
from stn_lightning.localisations._conv_nd import Convolutional1d, Convolutional3d
from stn_lightning.localisations._fc import FullyConnected
from stn_lightning.localisations._localisation import Localisation, Regression
from stn_lightning.localisations._recurrent import Recurrent
from stn_lightning.localisations._shallow import ShallowConvolutional
from stn_lightning.localisations._soft_argmax import SoftArgmax
from stn_lightning.plugins import Registry

registry = Localisation.registry = Registry("stn_lightning.localisations", Localisation)


def __getattr__(name: str) -> Any:
    return registry.resolve(name)


__all__ = [
    "Backbone",
    "Bounded",
    "Convolutional",
    "Convolutional1d",
    "Convolutional3d",
    "FullyConnected",
    "Localisation",
    "Recurrent",
    "Regression",
    "ShallowConvolutional",
    "SoftArgmax",
    "registry",
]
