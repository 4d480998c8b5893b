"""What is measured on what: named, frozen protocols. A number without its protocol's id says nothing.

A protocol fixes the photographs, their size, the lightness that is kept, and, for white balance, the casts. Any change
of what it measures is another version of it, under another id; a test holds the digest of each.
"""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from colorlib.benchmarks.photos import LISTS, Photo, PhotoSet, find, of_folder
from colorlib.catalog import Task

if TYPE_CHECKING:
    from torch import Tensor

    from colorlib.casts import Kind


@dataclass(frozen=True)
class Protocol:
    """How methods are measured on a set of photographs.

    Attributes:
        name: of the benchmark.
        photos: the set.
        about: whose benchmark it is, in one phrase.
        version: raised with every change that moves a number.
        side: photographs are brought to this size, see ``square``; None leaves them as they are.
        square: squashed or stretched to ``side`` x ``side``; else scaled down, never up, to ``side`` on the short side.
        crop: then cropped to the centre, a square of this side; a side that is shorter stays.
        keep: what every method's output shares with the photograph before it is scored: ``"lightness"``, L* of CIE
            Lab; or ``"mean"``, that of R, G and B, by adding the same to all three and clipping (Larsson et al. 2016,
            A.4). White balance keeps nothing.
        casts: kinds of simulated casts for white balance, one row a photograph and kind; none for colourisation.
        seed: of the factors of global casts, which depend on the photograph's name and on nothing else.
        true_histogram: each method is shown the histogram of the true colours (Larsson et al. 2016, table 4).
        subsets: scores are means over so many random subsets; 0 is all photographs at once.
        subset_size: photographs in each.
    """

    name: str
    photos: PhotoSet
    about: str
    version: int = 1
    side: int | None = 256
    square: bool = False
    crop: int | None = None
    keep: Literal["lightness", "mean"] = "mean"
    casts: tuple["Kind", ...] = ()
    seed: int = 0
    true_histogram: bool = False
    subsets: int = 0
    subset_size: int = 0

    @property
    def id(self) -> str:
        """Name and version, as results name it."""
        return f"{self.name}@{self.version}"

    @property
    def task(self) -> Task:
        """What methods it measures."""
        return "balance" if self.casts else "colorize"

    @property
    def digest(self) -> str:
        """Of everything that is frozen: the list of photographs with their hashes too, or else how many they are."""
        terms = {key: value for key, value in asdict(self).items() if key not in ("about", "photos")}
        count = str(self.photos.count or "")
        listed = (LISTS / f"{self.photos.listed}.csv").read_text(encoding="utf-8") if self.photos.listed else count
        terms["list"] = hashlib.sha256(listed.encode()).hexdigest()
        return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()

    def find(self, roots: Sequence[Path], *, allow_missing: bool = False) -> list[Photo]:
        """Its photographs on this disk; see :func:`colorlib.benchmarks.photos.find`.

        Raises:
            DataError: they are not there; the message says where they come from.
        """
        return find(self.photos, roots, allow_missing=allow_missing)

    def load(self, photo: Photo) -> "Tensor":
        """A photograph at the protocol's size, see :meth:`prepared`: sRGB in [0, 1], (3, H, W).

        Raises:
            OSError: the file cannot be read.
            colorlib.io.ImageError: it is no readable picture, or not the one that is listed.
        """
        return self.prepared(photo.read().rgb)

    def prepared(self, rgb: "Tensor") -> "Tensor":
        """A picture of a photograph's own size at the protocol's: sRGB in [0, 1], (3, H, W) -> (3, h, w).

        Scaled as Pillow does, bicubic and antialiased, on 8-bit values.
        """
        from PIL import Image  # here, and below, since what is known of a protocol needs no torch

        from colorlib import io
        from colorlib.image import size_of

        if self.side is not None:
            height, width = size_of(rgb)
            scale = min(1.0, self.side / min(height, width))
            size = (self.side, self.side) if self.square else (round(height * scale), round(width * scale))
            if size != (height, width):
                smaller = io.to_pil(rgb).resize(size[::-1], Image.Resampling.BICUBIC)
                rgb = io.read(smaller).rgb
        if self.crop is not None:
            top, left = (max(0, (side - self.crop) // 2) for side in size_of(rgb))
            rgb = rgb[:, top : top + self.crop, left : left + self.crop]
        return rgb

    def corrected(self, painted: "Tensor", true: "Tensor") -> "Tensor":
        """Pictures with what `keep` says taken from the photographs, as they are scored: (N, 3, H, W) twice -> one.

        Methods keep L* themselves.
        """
        if self.task == "balance" or self.keep == "lightness":
            return painted
        from colorlib.color import correct_lightness

        return correct_lightness(painted, true.mean(dim=1, keepdim=True)).clamp(0, 1)

    def cast(self, rgb: "Tensor", key: str, kind: "Kind") -> "Tensor":
        """A photograph (3, H, W) under a simulated cast of a kind."""
        import torch

        from colorlib.casts import ramp_cast, random_casts

        if kind != "global":
            return ramp_cast(rgb[None], kind)[0]
        # By the file's own name, wherever it lies.
        seed = int.from_bytes(hashlib.sha256(f"{self.seed}/{PurePosixPath(key).name}".encode()).digest()[:7])
        return random_casts(rgb[None], ("global",), torch.Generator().manual_seed(seed))[0]


def of_path(path: Path, task: Task = "colorize") -> tuple[Protocol, list[Photo]]:
    """A protocol for any folder of photographs or tar shard, and its photographs.

    Its id holds a digest of their names, sizes and beginnings, so that numbers of different folders are not mistaken
    for each other's.

    Raises:
        DataError: no photograph is there.
    """
    photos = of_folder(path)
    digest = hashlib.sha256()
    for photo in photos:
        size = photo.path.stat().st_size if photo.size < 0 else photo.size
        digest.update(f"{photo.key} {size} ".encode() + photo.content(4096))
    name = f"{path.resolve().stem}-{digest.hexdigest()[:8]}{'-global' if task == 'balance' else ''}"
    given = PhotoSet(name, source=str(path), count=len(photos))
    kinds: tuple[Kind, ...] = ("global",) if task == "balance" else ()
    return Protocol(name, given, about="photographs of your own", casts=kinds), photos


IMAGENET = "ImageNet's validation photographs (ILSVRC 2012, image-net.org, ILSVRC2012_img_val.tar)"
SUN = "SUN database (vision.princeton.edu/projects/2010/SUN)"
CVCL = "Urban and Natural Scene Categories of MIT's CVCL (olivalab.mit.edu/datasets.html), open country"
RAMPS: tuple["Kind", ...] = ("left", "right", "up", "down")  # all kinds of casts but the global one

_SKIMAGE = PhotoSet("skimage", "photographs that scikit-image brings", "skimage", packaged="skimage.data")
_MINIPLACES = PhotoSet(
    "miniplaces",
    "Mini Places' validation photographs, 10 of each of 100 scenes",
    "miniplaces",
    seen="these photographs were used to choose between our models, and others of the set to train them",
)
_OPEN_COUNTRY = PhotoSet("opencountry", CVCL, "opencountry")
_NIPS = PhotoSet(
    "imagenet-nips",
    "ImageNet-labelled photographs of the adversarial challenge of NIPS 2017, 300 of them",
    "imagenet-nips",
)
_COCO = PhotoSet("coco", "a sample of COCO (cocodataset.org), 228 photographs", "coco")
_PEOPLE = PhotoSet(
    "people",
    "people at sports and in the street, 470 photographs: a part of two sets on GitHub, by a hash of the path "
    "(jurjsorinliviu/Sports-Type-Classifier, bearpaw/clothing-co-parsing)",
    "people",
    seen="other photographs of the two sets were used to train",
)
_CTEST_SAMPLE = PhotoSet(
    "ctest10k-sample",
    "the 198 of Larsson's 10,000 test photographs that two small sets on GitHub contain (thunderInfy/imagenette, "
    "q878787/imagewoof2-320)",
    "ctest10k-sample",
    seen="other photographs of its 20 classes were used to train",
)
_COCO_2014 = PhotoSet("coco2014", "COCO's validation photographs of 2014 (cocodataset.org, val2014.zip)", count=40_504)
_SUN6 = PhotoSet(
    "sun6",
    f"{SUN}: beach, castle, outdoor, kitchen, living room, bedroom, the 240 test photographs of Deshpande et al. 2015, "
    f"whose list their code release has",
    count=240,
)
NUS = {
    "canon-eos-1ds": "Canon EOS-1Ds Mark III",
    "fujifilm-x-m1": "Fujifilm X-M1",
    "nikon-d5200": "Nikon D5200",
    "samsung-nx2000": "Samsung NX2000",
    "sony-slt-a57": "Sony SLT-A57",
}

_LARSSON, _HWANG = "Larsson et al. 2016", "Hwang and Zhou 2016"
_COLORIZATION = [
    Protocol("skimage", _SKIMAGE, "five photographs that need no download"),
    Protocol("miniplaces", _MINIPLACES, "128 x 128, with scenes; used to choose between our models"),
    Protocol("opencountry", _OPEN_COUNTRY, "all 410 photographs"),
    Protocol("imagenet-nips", _NIPS, "objects, 299 x 299"),
    Protocol("coco", _COCO, "people and objects"),
    Protocol("people", _PEOPLE, "people at sports and in the street"),
    Protocol(
        "ctest10k-sample",
        _CTEST_SAMPLE,
        f"a sample of the test set of {_LARSSON}, of 20 classes; the embedded weights saw other photographs of these",
    ),
    Protocol("ctest10k", PhotoSet("ilsvrc2012-val", IMAGENET, "ctest10k"), f"{_LARSSON}, the test set"),
    Protocol("cval1k", PhotoSet("ilsvrc2012-val", IMAGENET, "cval1k"), f"{_LARSSON}, tables 1, 2 and 5"),
    Protocol("sun6", _SUN6, f"{_LARSSON}, table 3"),
    Protocol("sun6-histogram", _SUN6, f"{_LARSSON}, table 4", true_histogram=True),
    Protocol(
        "sun-a",
        PhotoSet("sun-a", f"{SUN}, the photographs of 47 object categories of Patterson and Hays 2012"),
        f"{_LARSSON}, figure 8; Cheng et al. 2015",
        subsets=5,
        subset_size=1344,
    ),
    *(
        Protocol(name, photos, f"{_HWANG}, {where}", side=224, square=True, keep="lightness")
        for name, photos, where in (
            ("opencountry-test", PhotoSet("opencountry", CVCL, "opencountry-test"), "table 2"),
            (
                "mcgill",
                PhotoSet(
                    "mcgill",
                    "McGill Calibrated Colour Image Database (tabby.vision.mcgill.ca); which 150 were for testing "
                    "is not printed, take any",
                    count=150,
                ),
                "table 1",
            ),
            (
                "ilsvrc10",
                PhotoSet(
                    "ilsvrc10",
                    "ILSVRC 2015 CLS-LOC (image-net.org): spatula, school bus, bear, book shelf, armor, kangaroo, "
                    "spider, sweater, hair dryer, bird; which 494 were for testing is not printed, take any",
                    count=494,
                ),
                "table 1",
            ),
            (
                "mirflickr",
                PhotoSet(
                    "mirflickr",
                    "MIRFLICKR-25000 (press.liacs.nl/mirflickr); which 1,000 were for testing is not printed, take any",
                    count=1000,
                ),
                "table 1",
            ),
        )
    ),
    Protocol(
        "places205",
        PhotoSet("places205-val", "Places205's validation photographs (places.csail.mit.edu)", count=20_500),
        "Iizuka et al. 2016, section 4, which left out those of little colour, 954 that are not named",
        square=True,
        crop=224,
        keep="lightness",
    ),
    Protocol(
        "places365",
        PhotoSet("places365-val", "Places365's validation photographs (places2.csail.mit.edu)", count=36_500),
        "Lin and Ferreira 2021, figure 6, whose test set is not described further",
        side=224,
        square=True,
        keep="lightness",
    ),
]
_BALANCE = [
    Protocol(f"{photos.name}-{suffix}", photos, f"{about}, {what}", casts=kinds)
    for photos, about in (
        (_SKIMAGE, "five photographs that need no download"),
        (_MINIPLACES, "scenes"),
        (_OPEN_COUNTRY, "open country"),
        (_COCO, "people and objects"),
        (_COCO_2014, "Zhu and Funt 2018, table 2"),
        *(
            (
                PhotoSet(
                    f"nus-{name}",
                    f"NUS color constancy data set (Cheng et al. 2014), {camera}, rendered to sRGB",
                ),
                "Zhu and Funt 2018, table 2",
            )
            for name, camera in NUS.items()
        ),
    )
    for suffix, what, kinds in (("global", "global casts", ("global",)), ("ramps", "ramps across the picture", RAMPS))
]
_PROTOCOLS = {protocol.name: protocol for protocol in (*_COLORIZATION, *_BALANCE)}


def list_benchmarks(*, task: Task | None = None) -> list[str]:
    """Names of the benchmarks.

    Args:
        task: only those that measure methods of this task; default: all.
    """
    return [name for name, protocol in _PROTOCOLS.items() if task in (None, protocol.task)]


def protocol(name: str) -> Protocol:
    """What a benchmark measures, by its name or id.

    Raises:
        ValueError: there is none of this name; the message suggests the nearest ones.
    """
    found = _PROTOCOLS.get(name.partition("@")[0])
    if found and name in (found.name, found.id):
        return found
    near = [found.id] if found else difflib.get_close_matches(name, _PROTOCOLS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(_PROTOCOLS)}"
    raise ValueError(f"unknown benchmark {name!r}; {hint}")


def first(whole: Protocol, count: int) -> Protocol:
    """The protocol of a benchmark's first photographs only, under an id of its own."""
    return replace(whole, name=f"{whole.name}[{count}]", subsets=0)
