"""LightningDataModules: a base, and one file per dataset."""

from datamodules.base import ReconstructionDataModule
from datamodules.cifar100 import CIFAR100
from datamodules.cine_images import CineImages
from datamodules.cine_phantom import CinePhantom
from datamodules.cmrxrecon import CMRxRecon
from datamodules.color import ColorDataModule
from datamodules.dynamic import DynamicDataModule
from datamodules.image_folder import ImageFolder
from datamodules.ocmr import OCMR
from datamodules.sample_photos import SamplePhotos
from datamodules.scanned_cines import ScannedCines

__all__ = [
    "CIFAR100",
    "OCMR",
    "CMRxRecon",
    "CineImages",
    "CinePhantom",
    "ColorDataModule",
    "DynamicDataModule",
    "ImageFolder",
    "ReconstructionDataModule",
    "SamplePhotos",
    "ScannedCines",
]
