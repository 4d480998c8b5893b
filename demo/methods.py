"""What the page knows of the methods, from colorlib's catalogue. Nothing here needs torch."""

from colorlib.catalog import Task, catalog

IDEAS = {  # what is special about a method, for people who have read no paper
    "color_by_colorization": "has learned to take tints away",
    "consensus": "asks three methods and takes the middle",
    "dahl16": "paints what a classifier sees",
    "gray_world": "makes the average gray",
    "grayscale": "adds no colour, to compare with",
    "hwang16_classification": "picks from a hundred colour classes",
    "hwang16_regression": "settles on one colour a pixel",
    "iizuka16": "knows what kind of scene it sees",
    "iizuka16_imagenet": "was shown a thousand kinds of things",
    "iizuka16_local": "looks at what is near only",
    "iizuka16_rgb": "mixes red, green and blue",
    "iizuka16_yuv": "paints in the colours of television",
    "larsson16": "thinks in colour distributions",
    "larsson16_lab_joint": "weighs 256 colours at once",
    "larsson16_lab_l2": "takes the mean of all colours",
    "larsson16_lab_marginal": "weighs green to red and blue to yellow",
    "lin21": "trusts a classifier of objects",
    "lin21_convnet": "a plain network, to compare with",
    "lin21_rebalanced": "prefers rare colours",
    "shades_of_gray": "makes a bright average gray",
    "welsh02": "copies another photograph",
    "white_patch": "makes the brightest spot white",
}


def ready(task: Task) -> list[str]:
    """The methods of a task that can run: learned ones, then those that need no training, then baselines.

    Within these by name, which keeps the methods of a paper together.
    """

    def rank(name: str) -> tuple[bool, bool, str]:
        entry = catalog()[name]
        return not entry.learned, entry.paper is None, name

    return sorted((name for name, entry in catalog().items() if entry.ready and entry.task == task), key=rank)


def label(name: str) -> str:
    """What the page calls a method: whose it is, and its idea; the library's name where that is unknown."""
    entry, idea = catalog()[name], IDEAS.get(name.removesuffix("_small"))
    text = f"{entry.label.partition(',')[0]}: {idea}" if idea else entry.label
    return f"{text}, its authors' weights" if entry.weights and entry.weights.source else text


def short(name: str) -> str:
    """Whose method it is."""
    return label(name).partition(":")[0]


def scene_types(name: str) -> tuple[str, ...]:
    """The scene types that a method recognises."""
    weights = catalog()[name].weights
    return weights.classes if weights else ()


def takes_reference(name: str) -> bool:
    """Whether a method can use another photograph while it colours."""
    return catalog()[name].takes_reference


def borrows_scene_type(name: str) -> bool:
    """Whether a method uses something other than the colours of another photograph, even of a grayscale one."""
    return takes_reference(name) and catalog()[name].learned
