"""LightningDataModules: a base, what the datasets of a kind share, and one file per dataset."""

from datamodules.dynamic_mri.cine_images import CineImages
from datamodules.dynamic_mri.cine_phantom import CinePhantom
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.dynamic_mri.one_series import measure_series
from datamodules.dynamic_mri.series_data_module import SeriesDataModule
from datamodules.loading.data_module import ReconstructionDataModule
from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.black_borders import BlackBorders
from datamodules.photographs.channels_apart import ChannelsApart
from datamodules.photographs.cifar100 import CIFAR100
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.flips_and_turns import FlipsAndTurns
from datamodules.photographs.image_folder import ImageFolder
from datamodules.photographs.mixtures import Compose, RandomApply
from datamodules.photographs.one_image import measure_image
from datamodules.photographs.sample_photos import SamplePhotos
from datamodules.scanners.cmrxrecon import CMRxRecon
from datamodules.scanners.ocmr import OCMR
from datamodules.scanners.prepared_files import PreparedFiles
from datamodules.scanners.raw_scans import RawScans
from datamodules.scanners.scanned_cines import ScannedCines

__all__ = [
    "CIFAR100",
    "OCMR",
    "Augmentation",
    "BlackBorders",
    "CMRxRecon",
    "ChannelsApart",
    "CineImages",
    "CinePhantom",
    "ColorDataModule",
    "Compose",
    "DynamicDataModule",
    "FlipsAndTurns",
    "ImageFolder",
    "PreparedFiles",
    "RandomApply",
    "RawScans",
    "ReconstructionDataModule",
    "SamplePhotos",
    "ScannedCines",
    "SeriesDataModule",
    "measure_image",
    "measure_series",
]
