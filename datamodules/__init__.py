"""LightningDataModules: bases, and one file for each dataset."""

from datamodules.denoising.added_noise import add_noise_to_series
from datamodules.denoising.denoising_data_module import DenoisingDataModule
from datamodules.denoising.noisy_phantom import NoisyPhantom
from datamodules.denoising.noisy_series import NoisySeries
from datamodules.dynamic_mri.acquisition import measure_series
from datamodules.dynamic_mri.cine_images import CineImages
from datamodules.dynamic_mri.cine_phantom import CinePhantom
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.dynamic_mri.elliptic_phantom import EllipticPhantom
from datamodules.loading.concat_data_module import ConcatDataModule
from datamodules.loading.data_module import ReconstructionDataModule
from datamodules.loading.patches_data_module import PatchesDataModule
from datamodules.measured.series_data_module import SeriesDataModule
from datamodules.photographs.augmentation import (
    Augmentation,
    BlackBorders,
    ChannelsApart,
    Compose,
    FlipsAndTurns,
    RandomApply,
)
from datamodules.photographs.cifar100 import CIFAR100
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.image_folder import ImageFolder
from datamodules.photographs.masked_images import measure_image
from datamodules.photographs.sample_photos import SamplePhotos
from datamodules.scanners.carbon13 import Carbon13
from datamodules.scanners.cmrxrecon import CMRxRecon
from datamodules.scanners.ocmr import OCMR
from datamodules.scanners.prepared_files import PreparedFiles
from datamodules.scanners.raw_scans import RawScans
from datamodules.scanners.scanned_cines import ScannedCines
from datamodules.spectral.indian_pines import IndianPines
from datamodules.spectral.masked_cubes import measure_cube
from datamodules.spectral.spectral_cubes import SpectralCubes
from datamodules.spectral.spectral_data_module import SpectralDataModule
from datamodules.spectral.synthetic_cubes import SyntheticCubes
from datamodules.videos.simulated_ultrasound import SimulatedUltrasound
from datamodules.videos.video_data_module import VideoDataModule
from datamodules.videos.video_folder import VideoFolder

__all__ = [
    "CIFAR100",
    "OCMR",
    "Augmentation",
    "BlackBorders",
    "CMRxRecon",
    "Carbon13",
    "ChannelsApart",
    "CineImages",
    "CinePhantom",
    "ColorDataModule",
    "Compose",
    "ConcatDataModule",
    "DenoisingDataModule",
    "DynamicDataModule",
    "EllipticPhantom",
    "FlipsAndTurns",
    "ImageFolder",
    "IndianPines",
    "NoisyPhantom",
    "NoisySeries",
    "PatchesDataModule",
    "PreparedFiles",
    "RandomApply",
    "RawScans",
    "ReconstructionDataModule",
    "SamplePhotos",
    "ScannedCines",
    "SeriesDataModule",
    "SimulatedUltrasound",
    "SpectralCubes",
    "SpectralDataModule",
    "SyntheticCubes",
    "VideoDataModule",
    "VideoFolder",
    "add_noise_to_series",
    "measure_cube",
    "measure_image",
    "measure_series",
]
