"""Clips: frames, times and sound are kept, and colours flicker less along the motion."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage
import torch
from torch.testing import assert_close

from colorlib import Colorizer, Result, clips, color, io
from colorlib.clips import ClipError, Report, Smoother, colorize, warped

RATE, SECONDS = 10, 5
PHOTO = skimage.data.coffee()


def panned(frames: int, size: tuple[int, int] = (160, 240)) -> Iterator[np.ndarray]:
    """A camera that moves over a photograph, two pixels across and one down with each frame."""
    height, width = size
    for k in range(frames):
        yield np.ascontiguousarray(PHOTO[60 + k : 60 + k + height, 60 + 2 * k : 60 + 2 * k + width])


def write(path: Path, frames: Iterator[np.ndarray], rate: int = RATE, sound: bool = True) -> Path:
    with av.open(str(path), "w") as made:
        video: Any = made.add_stream("libx264", rate=rate, options={"crf": "10"})
        audio: Any = made.add_stream("aac", rate=44_100, layout="mono") if sound else None
        count = 0
        for pixels in frames:
            if count == 0:
                video.height, video.width, video.pix_fmt = *pixels.shape[:2], "yuv420p"
            count += 1
            made.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(video.encode())
        if audio:
            tone = np.sin(2 * np.pi * 440 * np.arange(44_100 * count // rate) / 44_100).astype(np.float32)
            for start in range(0, len(tone), 1024):
                frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
                made.mux(audio.encode(frame))
            made.mux(audio.encode())
    return path


def run(*args: Any, **settings: Any) -> tuple[list[Any], Report]:
    steps, coloring = [], colorize(*args, **settings)
    while True:
        try:
            steps.append(next(coloring))
        except StopIteration as end:
            return steps, end.value


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as clip:
        return [bytes(packet) for packet in clip.demux(audio=0) if packet.size]


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as clip:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in clip.decode(video=0)]


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer("hwang16_classification_small", size=112)  # which picks one of a hundred classes, and flickers


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clips") / "clip.mp4", panned(RATE * SECONDS))


@pytest.mark.slow
def test_five_seconds(clip, colorizer, tmp_path):
    made = tmp_path / "made.mp4"
    steps, report = run(clip, made, colorizer)
    assert [step.done for step in steps] == [*range(1, RATE * SECONDS + 1)]
    assert steps[-1].total == report.frames == RATE * SECONDS
    assert not list(tmp_path.glob(".*"))
    before, after = frames_of(clip), frames_of(made)
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)
    assert report.sound
    assert packets(made) == packets(clip), "sound is copied"
    with av.open(str(made)) as opened:
        assert opened.duration / 1e6 == pytest.approx(SECONDS, abs=0.1)
        assert "hwang16_classification_small" in opened.metadata["comment"]
    # Lightness is that of the frame, as far as 8 bits, H.264 and its halved chroma keep it.
    for (_, one), (_, other) in zip(before[::10], after[::10], strict=True):
        apart = skimage.color.rgb2lab(one)[..., 0] - skimage.color.rgb2lab(other)[..., 0]
        assert np.abs(apart).mean() < 1.5
        assert np.ptp(other.astype(int), axis=2).mean() > 5, "it has colours"
    # The motion is known: the frame before, moved by two pixels and one, is an oracle that no optical flow is.
    alone = [colorizer(pixels).rgb for _, pixels in before]
    smooth = [step.frame for step in steps]

    def flicker(pictures: list[torch.Tensor]) -> float:
        ab = [color.rgb_to_lab(rgb)[1:] for rgb in pictures]
        apart = [(one[:, 1:, 2:] - two[:, :-1, :-2]).norm(dim=0).mean() for one, two in pairwise(ab[5:])]
        return float(np.mean(apart))

    assert flicker(smooth) < 0.6 * flicker(alone)
    assert report.smoothed < 0.6 * report.flicker
    assert report.flicker == pytest.approx(flicker(alone), rel=0.4)
    assert re.fullmatch(r"Flicker went down by \d\d %, from .*", clips.flicker_text(report))


def test_a_still_is_smoothed_to_its_mean():
    """Of noise on a picture that does not move, an exponential average keeps (1 - k) / (1 + k) of the variance."""
    generator = torch.Generator().manual_seed(0)
    lightness = color.rgb_to_lightness(io.read(PHOTO).rgb[:, :100, :150])[0]
    smoother, kept = Smoother(), []
    for _ in range(60):
        kept.append(smoother.smooth(lightness, torch.randn(2, 100, 150, generator=generator)))
    share = torch.stack(kept[30:]).var(dim=0).mean().item()
    k = clips.KEPT
    assert torch.stack(kept[30:]).square().mean().item() == pytest.approx((1 - k) / (1 + k), rel=0.1)
    assert share < 0.15


def test_a_cut_begins_anew():
    smoother = Smoother()
    one, two = (
        color.rgb_to_lightness(io.read(photo).rgb[:, :100, :150])[0] for photo in (PHOTO, skimage.data.chelsea())
    )
    smoother.smooth(one, torch.full((2, 100, 150), 30.0))
    fresh = torch.full((2, 100, 150), -30.0)
    assert (smoother.smooth(two, fresh) + 30).norm(dim=0).mean() < 10
    assert len(smoother.flicker) <= 1


def test_a_flow_is_followed():
    maps = torch.rand(3, 20, 30)
    flow = torch.zeros(2, 20, 30)
    flow[0], flow[1] = 2, -3
    moved = warped(maps, flow)
    assert_close(moved[:, :18, 3:], maps[:, 2:, :-3], rtol=0, atol=1e-5)
    assert_close(warped(maps, torch.zeros(2, 20, 30)), maps, rtol=0, atol=1e-5)


def test_who_stops_leaves_no_file(clip, colorizer, tmp_path):
    coloring = colorize(clip, tmp_path / "made.mp4", colorizer)
    next(coloring)
    coloring.close()
    assert list(tmp_path.iterdir()) == []


def test_odd_sides_and_no_sound(colorizer, tmp_path):
    # H.264 itself has even sides: FFV1 has any.
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as made:
        video: Any = made.add_stream("ffv1", rate=5)
        video.width, video.height, video.pix_fmt = 121, 75, "bgr0"
        for pixels in panned(3, (75, 121)):
            made.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(video.encode())
    _, report = run(path, tmp_path / "made.mp4", colorizer)
    assert (report.frames, report.sound) == (3, False)
    assert {pixels.shape for _, pixels in frames_of(tmp_path / "made.mp4")} == {(74, 120, 3)}


def flat(frames: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    return (np.full((*size, 3), 128, np.uint8) for _ in range(frames))


def test_what_is_not_taken(clip, colorizer, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(clip.read_bytes()[:5000])
    (tmp_path / "text.mp4").write_text("no clip")
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as made:
        audio: Any = made.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        made.mux([*audio.encode(frame), *audio.encode()])
    for file, said in (
        (tmp_path / "broken.mp4", "broken.mp4 cannot be read as a clip"),
        (tmp_path / "text.mp4", "it is damaged, or none of MP4, MOV, MKV, WebM, AVI and MPEG; save it as MP4"),
        (tmp_path / "sound.m4a", "expected a clip with pictures, got none"),
        (write(tmp_path / "long.mp4", flat(34, (32, 32)), rate=1), "got 34 s, expected at most 30 s; cut out a part"),
        (
            write(tmp_path / "large.mp4", flat(1, (722, 960)), sound=False),
            "got 960 x 722 pixels, expected at most 1280 x",
        ),
    ):
        with pytest.raises(ClipError, match=re.escape(said)):
            next(colorize(file, tmp_path / "made.mp4", colorizer))
        assert not (tmp_path / "made.mp4").exists()
        assert not list(tmp_path.glob(".*"))
    with pytest.raises(ClipError, match=r"missing\.mp4 cannot be read"):
        next(colorize(tmp_path / "missing.mp4", tmp_path / "made.mp4", colorizer))


def refused(file: Path, said: str, colorizer: Any, made: Path) -> None:
    with pytest.raises(ClipError, match=re.escape(said)):
        for _ in colorize(file, made, colorizer):
            pass
    assert not list(made.parent.glob(f"*{made.name}*"))


class Quick:
    """A method whose network takes no time."""

    provenance = "Colorized"

    def result(self, photo: io.Photo, *, smaller: bool) -> Any:
        assert not smaller
        chroma = clips.Chroma(torch.zeros(1, 2, 4, 4))
        return Result(photo, chroma, "quick", self.provenance, 0.0)


def test_a_file_that_names_others_is_not_followed(clip, tmp_path, monkeypatch):
    stream = write(tmp_path / "private.ts", panned(5), sound=False)
    (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{stream}\n#EXT-X-ENDLIST\n")
    (tmp_path / "a.ffconcat").write_text("ffconcat version 1.0\nfile private.ts\n")
    for name, kind in (("a.m3u8", "hls"), ("a.ffconcat", "concat")):
        path = tmp_path / name
        refused(path, f"{name} cannot be read as a clip", Quick(), tmp_path / "made.mp4")
        with monkeypatch.context() as patch, av.open(str(path)) as opened:
            assert len([*opened.decode(video=0)]) == 5, "FFmpeg alone follows it"
            patch.setattr(clips, "OPTIONS", {})
            refused(path, f"{name}: expected MP4, MOV, MKV, WebM, AVI or MPEG, got {kind}", Quick(), tmp_path / "m.mp4")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *((suffix, "libx264") for suffix in ("mp4", "mov", "mkv", "ts", "3gp")),
        *(("avi", "mpeg4"), ("webm", "libvpx"), ("mpg", "mpeg1video")),
    ],
)
def test_kinds_that_are_taken(tmp_path, suffix, codec):
    path = tmp_path / f"clip.{suffix}"
    with av.open(str(path), "w") as made:
        video: Any = made.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 120, 80, "yuv420p"
        for pixels in panned(10, (80, 120)):
            made.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(video.encode())
    _, report = run(path, tmp_path / "made.mp4", Quick())
    assert report.frames == 10
    times = np.array([time for time, _ in frames_of(tmp_path / "made.mp4")])
    assert np.diff(times) == pytest.approx(np.full(9, 0.04), abs=2e-3)


def test_frames_are_bounded_whatever_the_file_says(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "_painted", lambda rgb, *_: rgb)
    fast = write(tmp_path / "fast.mp4", flat(1801, (32, 32)), rate=9000, sound=False)  # a fifth of a second
    refused(fast, "fast.mp4: got more than 1800 frames", Quick(), tmp_path / "made.mp4")
    asked, upright = list[int](), clips._upright
    monkeypatch.setattr(clips, "_upright", lambda frame: asked.append(frame.width) or upright(frame))
    small = write(tmp_path / "small.ts", flat(5, (64, 64)), sound=False).read_bytes()
    for size, said in (
        ((96, 64), "switch.ts: got a frame of 64 x 96 pixels after 64 x 64, expected one size"),
        ((1024, 1024), "switch.ts: got 1024 x 1024 pixels, expected at most 1280 x 720"),
        ((2048, 2048), "switch.ts cannot be read as a clip"),  # the decoder gives no such frame
    ):
        large = write(tmp_path / "large.ts", flat(2, size), sound=False).read_bytes()
        (tmp_path / "switch.ts").write_bytes(small + large)
        asked.clear()
        refused(tmp_path / "switch.ts", said, Quick(), tmp_path / "made.mp4")
        assert set(asked) == {64}, "no pixels of the other frames"


def test_a_frame_without_a_time_is_refused():
    frame = av.VideoFrame(64, 64, "yuv420p")
    with pytest.raises(ClipError, match=r"a\.ts: frame 3 has no time; save the clip as MP4"):
        clips._check_frame(frame, 3, (64, 64), "a.ts")


class TestUnpack:
    """What a process with limits leaves of a clip that a stranger has sent."""

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.ts"])
    def test_nothing_is_lost(self, tmp_path, name):
        source = write(tmp_path / name, panned(12, (162, 240)))
        clips.unpack(source, tmp_path / "made.mp4")
        before, after = frames_of(source), frames_of(tmp_path / "made.mp4")
        assert_close([time for time, _ in after], [time for time, _ in before], rtol=0, atol=0.001)
        for (_, one), (_, other) in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "made.mp4"])

    def test_what_is_coloured_is_the_same(self, tmp_path):
        source, painter = write(tmp_path / "clip.mp4", panned(6)), Colorizer("lin21_convnet_small")
        clips.unpack(source, tmp_path / "made.mp4")
        *_, report = run(source, tmp_path / "direct.mp4", painter)
        *_, by_way = run(tmp_path / "made.mp4", tmp_path / "by-way.mp4", painter, unpacked=True)
        assert report == by_way
        assert report.sound
        assert packets(tmp_path / "direct.mp4") == packets(tmp_path / "by-way.mp4") == packets(source)
        for (one, pixels), (other, same) in zip(
            frames_of(tmp_path / "direct.mp4"), frames_of(tmp_path / "by-way.mp4"), strict=True
        ):
            assert one == other
            np.testing.assert_array_equal(pixels, same)

    def test_its_sound_is_not_decoded(self, tmp_path):
        """By what FFmpeg's decoder says of sound that makes no sense."""
        source = write(tmp_path / "clip.mp4", panned(6))
        content, noise = source.read_bytes(), np.random.default_rng(0)
        for packet in packets(source):
            assert packet in content
            content = content.replace(packet, noise.bytes(len(packet)))
        source.write_bytes(content)
        said, before = {}, av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            for unpacked in (False, True):
                with av.logging.Capture(local=False) as heard:
                    *_, report = run(source, tmp_path / "made.mp4", Quick(), unpacked=unpacked)
                assert report.sound
                said[unpacked] = [message for _, name, message in heard if "aac" in name]
        finally:
            av.logging.set_level(before)
        assert any("not allocated" in message or "rror" in message for message in said[False])
        assert not any("not allocated" in message or "rror" in message for message in said[True])
        assert packets(tmp_path / "made.mp4") == packets(source)

    def test_what_is_no_clip_leaves_no_file(self, tmp_path):
        (tmp_path / "text.mp4").write_text("no clip", encoding="utf-8")
        with pytest.raises(ClipError, match=r"^text\.mp4 cannot be read as a clip"):
            clips.unpack(tmp_path / "text.mp4", tmp_path / "made.mp4")
        assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
