"""Draws radial.png: a photograph and a grid seen through five lenses.

python picture.py
"""

import numpy as np
import torch
from skimage.data import astronaut
from stn_lightning.samplers import Bilinear
from torchvision.utils import make_grid, save_image

from stn_template import Radial

lenses = torch.tensor([[-0.16, 0.0], [-0.08, 0.0], [0.0, 0.0], [0.15, 0.0], [0.3, 0.0]])
photograph = torch.from_numpy(np.ascontiguousarray(astronaut()[::2, ::2])).permute(2, 0, 1).float() / 255
lines = torch.ones_like(photograph)
lines[:, ::16] = lines[:, :, ::16] = 0.35
grid = Radial(terms=2).grid(lenses, photograph.shape[1:])
rows = [Bilinear()(image.expand(len(lenses), -1, -1, -1), grid) for image in (photograph, lines)]
save_image(make_grid(torch.cat(rows), nrow=len(lenses), padding=8, pad_value=1.0), "radial.png")
