"""Short clips: each frame is coloured alone, and chroma is smoothed along the motion, so that colours flicker less.

Chroma follows an exponential average in time. What the frame before had is moved along by the optical flow of the
lightness (Le Besnerais and Champagnat 2005, as scikit-image has it), and counts as much as both frames agree there.
Lightness stays that of the frame. Sound is copied. Files are read and written by PyAV, which is an extra.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from colorlib import color, io
from colorlib.painting import Chroma

if TYPE_CHECKING:
    from colorlib.colorizer import Colorizer

MAX_SECONDS, LONGEST, SHORTEST = 30.0, 1280, 720  # of a clip: its duration, and its sides in pixels
MAX_FRAMES = int(60 * MAX_SECONDS)
# Kinds of files that hold their frames themselves: a playlist would have FFmpeg open others, whatever it names.
KINDS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg")
OPTIONS = {
    "format_whitelist": ",".join(KINDS),
    "protocol_whitelist": "file",
    "max_pixels": str(2 * LONGEST * SHORTEST),  # of a decoder, which rounds sides up
}
GRID = 144  # cells along the short side, on which flow and chroma are computed
KEPT = 0.8  # of the chroma of the frame before: the average goes back five frames
AGREE = 4.0  # L of CIE Lab by which two frames may differ for the flow to be trusted
CUT = 0.35  # share of trusted cells below which a frame belongs to another scene


class ClipError(ValueError):
    """A clip that cannot be read or is not accepted: says what was found, what was expected, what to do."""


@dataclass(frozen=True)
class Progress:
    """How far a clip is.

    Attributes:
        done: frames that are coloured.
        total: about how many there are.
        frame: the last of them, sRGB (3, H, W) in [0, 1].
    """

    done: int
    total: int
    frame: Tensor


@dataclass(frozen=True)
class Report:
    """What became of a clip.

    Attributes:
        frames: how many were coloured.
        flicker: how far colours are from those of the frame before along the motion, the mean in units of a and b, of
            frames that are coloured alone.
        smoothed: the same after smoothing.
        sound: whether there is some, which was copied.
    """

    frames: int
    flicker: float
    smoothed: float
    sound: bool


class Smoother:
    """The average of chroma along the motion, frame by frame.

    Attributes:
        flicker: of each frame after the first of a scene: how far its chroma is from that of the frame before, at the
            same thing, in units of a and b; as it came, and as it was smoothed.
    """

    def __init__(self) -> None:
        self.flicker: list[tuple[float, float]] = []
        self._before: tuple[NDArray[np.float32], Tensor, Tensor] | None = None

    def smooth(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Smooth the chroma of the next frame.

        Args:
            lightness: L of CIE Lab, (h, w).
            ab: predicted (a, b), (2, h, w).

        Returns:
            (2, h, w).
        """
        from skimage.registration import optical_flow_ilk  # takes time to load

        shown = (lightness / 100).numpy()
        smoothed = ab
        if self._before is not None:
            earlier, own, average = self._before
            flow = torch.from_numpy(np.asarray(optical_flow_ilk(shown, earlier, radius=5), np.float32))
            moved = warped(torch.cat([torch.from_numpy(earlier)[None], own, average]), flow)
            agree = (-((100 * (moved[0] - lightness / 100)) / AGREE).square()).exp()
            if (agree > 0.5).float().mean() >= CUT:
                smoothed = ab + KEPT * agree * (moved[3:] - ab)
                apart = [
                    ((one - other).norm(dim=0) * agree).sum().item() / agree.sum().item()
                    for one, other in ((ab, moved[1:3]), (smoothed, moved[3:]))
                ]
                self.flicker.append((apart[0], apart[1]))
        self._before = shown, ab, smoothed
        return smoothed


def warped(maps: Tensor, flow: Tensor) -> Tensor:
    """Maps (C, h, w) moved along a flow (2, h, w) of rows and columns, bilinearly; edges are repeated."""
    height, width = maps.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    down, across = (2 * (rows + flow[0]) + 1) / height - 1, (2 * (columns + flow[1]) + 1) / width - 1
    grid = torch.stack([across, down], dim=-1)[None].to(maps.dtype)
    return F.grid_sample(maps[None], grid, padding_mode="border", align_corners=False)[0]


def colorize(
    source: str | PathLike[str],
    destination: str | PathLike[str],
    colorizer: "Colorizer",
    *,
    strength: float = 1.0,
    saturation: float = 1.0,
    unpacked: bool = False,
) -> Generator[Progress, None, Report]:
    """Colour a clip, a step for each frame. Who closes the generator stops, and leaves no file.

    Args:
        source: MP4, MOV, MKV, WebM, AVI or MPEG; at most MAX_SECONDS long, MAX_FRAMES frames, and 1280 x 720 pixels
            either way.
        destination: of an MP4 file in H.264, with the source's frames, times and sound.
        colorizer: the method.
        strength: see :meth:`colorlib.Result.adjust`.
        saturation: likewise.
        unpacked: the clip is what :func:`unpack` wrote: nothing but that kind of pictures is decoded, and no sound.

    Yields:
        How far it is.

    Returns:
        What became of it.

    Raises:
        ClipError: the file is no clip, damaged, of another kind, too long or too large, or its frames change their size
            or have no times, or its sound does not fit into MP4.
        ImportError: PyAV is not installed.
    """
    smoother, painted = Smoother(), torch.empty(3, 0, 0)

    def paint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal painted
        rgb = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        painted = _painted(rgb, colorizer, smoother, strength, saturation)
        return np.ascontiguousarray((painted * 255).round().byte().permute(1, 2, 0).numpy())

    comment = f"{colorizer.provenance}, chroma smoothed along the motion"
    step = 0, 0, False
    options = OPTIONS | ({"codec_whitelist": "h264"} if unpacked else {})
    with closing(_rewritten(Path(source), Path(destination), paint, _SMALL, comment, options)) as steps:
        for step in steps:
            yield Progress(*step[:2], painted)
    done, _, sound = step
    before, after = np.mean(smoother.flicker, axis=0) if smoother.flicker else (0.0, 0.0)
    return Report(done, float(before), float(after), sound)


def unpack(source: str | PathLike[str], destination: str | PathLike[str]) -> None:
    """Write a clip anew without any loss: upright frames of RGB in H.264, with their times and the sound.

    Who does this in a process with limits can leave the result to another process, whoever made the clip: all that is
    in it but the packets of sound was made here. It is large: up to 3 MB a frame.

    Args:
        source: as for :func:`colorize`.
        destination: of an MP4 file.

    Raises:
        ClipError: as :func:`colorize`.
        ImportError: PyAV is not installed.
    """
    with closing(_rewritten(Path(source), Path(destination), lambda pixels: pixels, _LOSSLESS)) as steps:
        deque(steps, maxlen=0)


class _Coding(NamedTuple):
    """How frames are encoded: a codec of FFmpeg, the format of its pixels, and its options."""

    codec: str
    pixels: str
    options: dict[str, str]


_SMALL = _Coding("libx264", "yuv420p", {"crf": "18"})
_LOSSLESS = _Coding("libx264rgb", "rgb24", {"qp": "0", "preset": "ultrafast"})


def _rewritten(
    source: Path,
    destination: Path,
    paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    coding: _Coding,
    comment: str = "",
    options: Mapping[str, str] = OPTIONS,
) -> Generator[tuple[int, int, bool], None, None]:
    """Write a clip anew, a step for each frame; see :func:`colorize`.

    Args:
        source: the clip.
        destination: of an MP4 file.
        paint: from the pixels of each frame, upright, (H, W, 3), to those that are written.
        coding: of the frames.
        comment: of the file.
        options: with which FFmpeg opens the clip.

    Yields:
        How many frames are done, about how many there are, and whether there is sound.
    """
    import av

    unfinished = destination.with_name(f".{destination.name}.part")
    try:
        with av.open(str(source), options=dict(options)) as clip:
            total, sound, done = _checked(clip, source.name), bool(clip.streams.audio), 0
            with av.open(str(unfinished), "w", format="mp4") as made:
                if comment:
                    made.metadata["comment"] = comment
                with closing(_frames(clip, made, paint, coding, source.name)) as frames:
                    for done, write in enumerate(frames, 1):
                        write()
                        yield done, max(total, done), sound
        if not done:
            raise ClipError(f"{source.name}: no frame is in it; choose another file")
        unfinished.replace(destination)
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            raise
        advice = "it is damaged, or none of MP4, MOV, MKV, WebM, AVI and MPEG; save it as MP4 and try again"
        raise ClipError(f"{source.name} cannot be read as a clip ({error.strerror}): {advice}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _checked(clip: Any, name: str) -> int:
    """About how many frames a clip has.

    Raises:
        ClipError: it is of another kind, has no picture, or is too long or too large.
    """
    if clip.format.name not in KINDS:
        raise ClipError(f"{name}: expected MP4, MOV, MKV, WebM, AVI or MPEG, got {clip.format.name}; save it as MP4")
    if not clip.streams.video:
        raise ClipError(f"{name}: expected a clip with pictures, got none; choose another file")
    video = clip.streams.video[0]
    _check_size(video.width, video.height, name)
    seconds = clip.duration / 1e6 if clip.duration else 0.0
    _check_time(seconds, name)
    rate = float(video.average_rate or 25)
    return min(int(video.frames or round(seconds * rate)), MAX_FRAMES)


def _check_frame(frame: Any, count: int, size: tuple[int, int] | None, name: str) -> None:
    """Check one of a clip, before its pixels are asked for: what the file says of itself binds nobody.

    Args:
        frame: the frame.
        count: how many there are with it.
        size: width and height of the first; None if it is the first.
        name: of the file.

    Raises:
        ClipError: one is too many, too late or too large, or has another size or no time.
    """
    if count > MAX_FRAMES:
        raise ClipError(f"{name}: got more than {MAX_FRAMES} frames, expected at most as many; cut out a part")
    if frame.time is None:
        raise ClipError(f"{name}: frame {count} has no time; save the clip as MP4 and try again")
    _check_time(float(frame.time), name)
    _check_size(frame.width, frame.height, name)
    if size and (frame.width, frame.height) != size:
        found = f"{frame.width} x {frame.height} pixels after {size[0]} x {size[1]}"
        raise ClipError(f"{name}: got a frame of {found}, expected one size; save the clip as MP4 and try again")


def _check_size(width: int, height: int, name: str) -> None:
    if max(width, height) > LONGEST or min(width, height) > SHORTEST:
        size = f"{width} x {height} pixels"
        raise ClipError(f"{name}: got {size}, expected at most {LONGEST} x {SHORTEST}; make a smaller copy")


def _check_time(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS + 0.5:  # containers round
        advice = "cut out a part"
        raise ClipError(f"{name}: got {seconds:.0f} s, expected at most {MAX_SECONDS:.0f} s; {advice}")


def _frames(
    clip: Any, made: Any, paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], coding: _Coding, name: str
) -> Generator[Callable[[], None], None, None]:
    """What paints and writes each frame in turn; sound is copied between them."""
    import av

    video = clip.streams.video[0]
    video.thread_type = "AUTO"
    video.codec_context.options = {"max_pixels": OPTIONS["max_pixels"]}
    stream: Any = None
    count, size = 0, None
    sounds = {one.index: made.add_stream_from_template(one) for one in clip.streams.audio[:1]}
    waiting: list[Any] = []  # sound from before the first frame, with which the file begins

    def write(frame: Any) -> None:
        shown = av.VideoFrame.from_ndarray(paint(_upright(frame)), format="rgb24")
        if coding.pixels != "rgb24":
            shown = shown.reformat(format=coding.pixels, dst_colorspace="ITU709")
        shown.pts, shown.time_base = frame.pts, frame.time_base
        made.mux(stream.encode(shown))

    for packet in clip.demux([video, *clip.streams.audio[:1]]):
        if packet.stream.index in sounds:
            if packet.dts is not None:
                packet.stream = sounds[packet.stream.index]
                waiting.append(packet)
            continue
        for frame in packet.decode():
            count += 1
            _check_frame(frame, count, size, name)
            if stream is None:
                size = frame.width, frame.height
                height, width = (side - side % 2 for side in _upright(frame).shape[:2])
                stream = made.add_stream(coding.codec, rate=video.average_rate or 25, options=coding.options)
                stream.width, stream.height, stream.pix_fmt = width, height, coding.pixels
                stream.codec_context.time_base = video.time_base
                context = stream.codec_context
                if coding.pixels != "rgb24":
                    context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
            yield partial(write, frame)
            for sound in waiting:
                made.mux(sound)
            waiting.clear()
    if stream is not None:
        made.mux(stream.encode())
        for sound in waiting:
            made.mux(sound)


def _upright(frame: Any) -> NDArray[np.uint8]:
    """The pixels of a frame as it is to be seen, (H, W, 3), H and W even as H.264 wants them."""
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), k=round(getattr(frame, "rotation", 0) / 90))
    height, width = (side - side % 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def _painted(rgb: Tensor, colorizer: "Colorizer", smoother: Smoother, strength: float, saturation: float) -> Tensor:
    """A frame, (3, H, W), in colours that follow those of the frame before."""
    photo = io.Photo(rgb)
    result = colorizer.result(photo, smaller=False)  # frames of other sizes would flicker
    scale = min(1.0, GRID / min(photo.height, photo.width))
    size = max(1, round(photo.height * scale)), max(1, round(photo.width * scale))
    lightness = color.rgb_to_lightness(io.shrunk(photo, size))[0, 0]
    ab = F.interpolate(result.ab[None].cpu(), size=size, mode="bilinear", align_corners=False)[0]
    small = smoother.smooth(lightness, ab)
    return replace(result, paint=Chroma(small[None])).adjust(strength, saturation).rgb


def flicker_text(report: Report) -> str:
    """What smoothing did, in a sentence."""
    less = 0 if report.flicker == 0 else 100 * (1 - report.smoothed / report.flicker)
    if not math.isfinite(less) or less <= 0:
        return "The colours hardly flickered."
    numbers = f"from {report.flicker:.2f} to {report.smoothed:.2f} (units of a and b from frame to frame)"
    return f"Flicker went down by {less:.0f} %, {numbers}."
