"""Plain networks: usable in any PyTorch loop, and returning an ``Output`` of prediction and warps."""

from stn_lightning.networks._budget import count_parameters
from stn_lightning.networks._cnn import CNN
from stn_lightning.networks._fcn import FCN
from stn_lightning.networks._network import INPUT, Network, Output, TransformerFactory

__all__ = ["CNN", "FCN", "INPUT", "Network", "Output", "TransformerFactory", "count_parameters"]
