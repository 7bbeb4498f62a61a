"""Plain networks: usable in any PyTorch loop, and returning an ``Output`` of prediction and warps."""

from stn_lightning.networks._budget import count_parameters
from stn_lightning.networks._cnn import CNN
from stn_lightning.networks._colocaliser import CoLocaliser
from stn_lightning.networks._dimensional import SignalCNN, VolumeCNN
from stn_lightning.networks._fcn import FCN
from stn_lightning.networks._house_number_net import HouseNumberNet
from stn_lightning.networks._network import Network
from stn_lightning.networks._parts_net import AuxiliaryOutput, ParallelFactory, PartsNet
from stn_lightning.networks._sequence_net import SequenceNet
from stn_lightning.networks._staged import INPUT, Output, Staged, TransformerFactory

__all__ = [
    "CNN",
    "FCN",
    "INPUT",
    "AuxiliaryOutput",
    "CoLocaliser",
    "HouseNumberNet",
    "Network",
    "Output",
    "ParallelFactory",
    "PartsNet",
    "SequenceNet",
    "SignalCNN",
    "Staged",
    "TransformerFactory",
    "VolumeCNN",
    "count_parameters",
]
