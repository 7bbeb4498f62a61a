"""CUB-200-2011 as published, and whatever lies in its layout."""
