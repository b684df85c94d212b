"""Files of the reconstructions of ``predict``."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor, nn

from lowrank_unroll.errors import UsageError
from lowrank_unroll.extras import import_extra
from lowrank_unroll.metrics import defined_values
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.names import path_of_name
from lowrank_unroll.pictures import Panel, make_panel
from lowrank_unroll.runs.folders import run_folder
from lowrank_unroll.sample import COLOUR_AXES, SERIES_AXES, Sample
from lowrank_unroll.terminal import say
from lowrank_unroll.writers import (
    IMAGE_WRITERS,
    OPTIONAL_PACKAGES,
    SERIES_WRITERS,
    ImageFormat,
    Prediction,
    SeriesFormat,
    Writer,
    crop_to_field_of_view,
)
from lowrank_unroll.writers.places import unused_path, with_suffix

COLORS = 3
WHITE = 255  # in 8 bits
PANEL = "panel.png"


class PredictionWriter(BasePredictionWriter):
    """Write each reconstruction into ``predictions/`` in the folder of the run.

    Files are in the data's own unit and called NAME.FORMAT. A slash in the name of a sample makes a folder, but none
    outside of ``predictions/``. No file is overwritten: a second sample of the same name becomes NAME_2, also where the
    file system ignores the case in which two names differ. Of a reconstruction of several images each is written by
    itself, as NAME_COMPONENT. Pixels beyond the field of view of a scan, which oversampling of the phase encoding adds,
    are cropped.

    Args:
        image_formats: of images: "png", 8 bits, in the colors of the task's ``picture``; "comparison.png", measured
            values, reconstruction and, if it is known, the original side by side; "tiff" and "npy", all channels in
            float32, neither rounded nor clipped, colors from 0 to 255; "panel.png", the row of the test report, with
            error and, of cubes, spectra.
        series_formats: of series: "h5", complex64 or float32, with attributes; to look at, "gif", beside the start of
            the network, "mp4", and "png", with the start, the sampling and the coils; "nii.gz" (NIfTI) and "dcm"
            (DICOM), magnitudes in float32 and in 16 bits; "mrd", complex ISMRMRD images.

    Raises:
        ValueError: if no format is given, or one that is unknown or for the other kind of data.
    """

    def __init__(
        self,
        image_formats: Sequence[ImageFormat] = ("png", "comparison.png"),
        series_formats: Sequence[SeriesFormat] = ("h5", "gif", "png"),
    ) -> None:
        super().__init__(write_interval="batch")
        _check("image_formats", image_formats, IMAGE_WRITERS)
        _check("series_formats", series_formats, SERIES_WRITERS)
        self.image_writers: dict[str, Writer] = {name: IMAGE_WRITERS[name] for name in image_formats}
        self.series_writers: dict[str, Writer] = {name: SERIES_WRITERS[name] for name in series_formats}
        self.folder = Path()
        self._start: Tensor | None = None  # of the batch, where the network starts from another
        self._remove_hook = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder of ``predict``, and check that the packages of the formats are installed.

        Raises:
            ModuleNotFoundError: if a package is not installed; names it.
        """
        super().setup(trainer, pl_module, stage)
        if stage != "predict":
            return
        for name in OPTIONAL_PACKAGES.keys() & self.series_writers.keys():
            package, extra = OPTIONAL_PACKAGES[name]
            import_extra(package, extra, f"writing {name}")
        self.folder = run_folder(trainer) / "predictions"

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the image that the network starts from, to show it beside the reconstruction."""
        start = _start_of(pl_module)
        if start is not None:
            self._remove_hook.callback(start.register_forward_hook(self._keep).remove)

    def _keep(self, _module: nn.Module, _given: Any, image: Tensor) -> None:
        self._start = image

    def on_exception(self, *_: Any) -> None:
        """Remove the hook from the network."""
        self._remove_hook.close()

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Check before the first reconstruction that images of this kind can be written.

        Raises:
            UsageError: if they cannot; says what to do.
        """
        if batch_idx > 0 or not isinstance(pl_module, ReconstructionModule):
            return
        image, *_ = pl_module.split(pl_module.zero_filled(batch)[0]).values()
        is_series = pl_module.is_series(image)
        kind, axes = ("series", SERIES_AXES) if is_series else ("images", COLOUR_AXES)
        if image.ndim != len(axes):
            raise UsageError(
                f"{type(pl_module).__name__} makes {kind} of shape {tuple(image.shape)}, and predict writes "
                f"({', '.join(axes)}): write yours with a callback of your own, such as a subclass of PredictionWriter"
            )
        if not is_series and any(map(_is_picture, self.image_writers)):
            _colors_of(pl_module, image, image)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Sample,
        *_: Any,
    ) -> None:
        """Write a batch of images (batch, 3, height, width) or series (batch, time, height, width), or components."""
        is_series = _is_series(pl_module, prediction)
        writers = self.series_writers if is_series else self.image_writers
        checkpoint = str(trainer.ckpt_path or "")
        before = self._before(pl_module, prediction, batch) if isinstance(pl_module, ReconstructionModule) else None
        for index, values in enumerate(prediction.cpu()):
            shown = _prediction(values, batch, index, checkpoint)
            if isinstance(pl_module, ReconstructionModule) and before is not None:
                shown = _beside_others(pl_module, shown, batch, index, before)
                if PANEL in writers:
                    shown = shown._replace(panel=_panel(pl_module, shown))
            if shown.psnr is not None:
                say(f"{shown.name}: {_label_of_psnr(pl_module)} {shown.psnr:.2f} dB")
            for component in _components(pl_module, shown):
                path = self._unused_path(component.name, writers)
                cropped = crop_to_field_of_view(component)
                for suffix, write in writers.items():
                    is_picture = _is_picture(suffix) and not is_series
                    write(_in_colors(pl_module, cropped) if is_picture else cropped, with_suffix(path, suffix))

    def _unused_path(self, name: str, suffixes: Collection[str]) -> Path:
        path = self.folder / path_of_name(name)
        unused = unused_path(self.folder, path_of_name(name), suffixes)
        if unused != path:
            say(f"{path} is written already, this one becomes {unused.relative_to(self.folder)}")
        return unused

    def _before(self, module: ReconstructionModule, prediction: Tensor, batch: Sample) -> tuple[Tensor, str]:
        """Return the images to show beside those of a batch, in the unit of a target, and their title."""
        start, self._start = self._start, None
        if start is not None and module.is_series(prediction) and start.shape == prediction.shape:
            return start, f"start: {type(_start_of(module)).__name__}"
        return module.zero_filled(batch), module.adjoint_name

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print where the images are."""
        self._remove_hook.close()
        if trainer.is_global_zero:
            say(f"Reconstructions: {self.folder}")


def _start_of(module: nn.Module) -> nn.Module | None:
    start = getattr(getattr(module, "network", None), "start", None)
    return start if isinstance(start, nn.Module) else None


def _is_series(module: LightningModule, prediction: Tensor) -> bool:
    return module.is_series(prediction) if isinstance(module, ReconstructionModule) else prediction.is_complex()


def _components(module: LightningModule, prediction: Prediction) -> Iterator[Prediction]:
    """Yield the components of a prediction, each with a name of its own; one image alone as it is."""
    if not isinstance(module, ReconstructionModule):
        yield prediction
        return
    images = {"values": prediction.values, "start": prediction.start, "target": prediction.target}
    split = {field: module.split(image) for field, image in images.items() if image is not None}
    for component in split["values"]:
        name = "_".join(filter(None, (prediction.name, component)))
        fields: dict[str, Any] = {field: parts[component] for field, parts in split.items()}
        yield prediction._replace(name=name, **fields)


def _label_of_psnr(module: LightningModule) -> str:
    return (module.metrics()["psnr"].label if isinstance(module, ReconstructionModule) else "") or "PSNR"


def _is_picture(suffix: str) -> bool:
    return suffix.endswith("png")


def _colors_of(module: ReconstructionModule, image: Tensor, bright: Tensor) -> Tensor:
    """Return an image (channel, height, width), in the unit of a target, in the colors of its task's picture."""
    colors = module.picture(image, bright)
    if colors.shape[:-2] != (COLORS,):
        raise UsageError(
            f"`picture` of {type(module).__name__} returns {tuple(colors.shape)}, expected colors (3, height, "
            "width): correct it, or write all channels by --prediction.image_formats '[tiff]'"
        )
    return colors


def _in_colors(module: LightningModule, prediction: Prediction) -> Prediction:
    """Return a prediction in the colors of its task's picture; unchanged where the task has none of its own."""
    has_own = isinstance(module, ReconstructionModule) and type(module).picture is not ReconstructionModule.picture
    if not isinstance(module, ReconstructionModule) or (not has_own and len(prediction.values) == COLORS):
        return prediction
    bright = prediction.values / prediction.scale

    def shown(image: Tensor | None) -> Tensor | None:
        return None if image is None else WHITE * _colors_of(module, image / prediction.scale, bright)

    colors = WHITE * _colors_of(module, bright, bright)
    return prediction._replace(values=colors, start=shown(prediction.start), target=shown(prediction.target))


def _beside_others(
    module: ReconstructionModule, prediction: Prediction, batch: Sample, index: int, before: tuple[Tensor, str]
) -> Prediction:
    """Return a prediction with the images that it is compared to, and its PSNR."""
    start, start_name = before
    target = _original(batch, index)
    prediction = prediction._replace(start=start[index].cpu() * prediction.scale, start_name=start_name)
    if target is None:
        return prediction
    image = prediction.values / prediction.scale
    (psnr,) = defined_values(module.metrics()["psnr"].function, image[None], target[None])
    return prediction._replace(target=target * prediction.scale, psnr=psnr)


def _panel(module: ReconstructionModule, prediction: Prediction) -> Panel:
    """Return the row of pictures of a prediction that has a start."""
    images = (prediction.target, prediction.start, prediction.values)
    target, start, image = (None if values is None else values / prediction.scale for values in images)
    assert start is not None and image is not None  # noqa: S101, PT018  only the target may be unknown
    mask = None if prediction.mask is None else module.picture_of_mask(prediction.mask)
    drawing = (module.pictures, module.metrics()["psnr"].function, module.curves, prediction.start_name)
    return make_panel(prediction.name, (target, start, image), mask, *drawing)


def _original(batch: Sample, index: int) -> Tensor | None:
    """Return the target if it is known; None where it is zero at all pixels that were not measured, a damaged image."""
    if batch.target is None:
        return None
    target, mask = batch.target[index].cpu(), batch.mask[index].cpu()
    is_damaged = not target.is_complex() and not mask.all() and not target[~mask.expand_as(target)].any()
    return None if is_damaged else target


def _prediction(values: Tensor, batch: Sample, index: int, checkpoint: str) -> Prediction:
    sample = batch.at(index).to("cpu")
    return Prediction(
        values,
        str(sample.name),
        str(sample.origin),
        float(sample.scale),
        checkpoint,
        sample.mask_on_grid(),
        sample.coil_sensitivities,
        sample.geometry,
    )


def _check(argument: str, given: Sequence[str], known: Collection[str]) -> None:
    if not given or not set(given) <= set(known):
        raise ValueError(f"{argument} is {given!r}, expected one or more of {', '.join(map(repr, known))}")
