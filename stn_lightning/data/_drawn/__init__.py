"""House numbers that are drawn, in the format of SVHN."""
