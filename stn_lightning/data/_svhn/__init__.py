"""SVHN format 1: full numbers as PNG images and a MATLAB 7.3 file of boxes (Netzer et al. 2011)."""
