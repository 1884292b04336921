"""The data sets of both tracks, and the files of users' own data."""

from gedi_nesy.data.images import DataUnavailable, Images
from gedi_nesy.data.load import DATASETS, default_images, load_images
from gedi_nesy.data.toys import TOYS, load_toy

__all__ = ["DATASETS", "TOYS", "DataUnavailable", "Images", "default_images", "load_images", "load_toy"]
