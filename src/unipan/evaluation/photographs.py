"""Where the photographs of a dataset lie, of which only a JSON with maps is given."""

from pathlib import Path, PurePosixPath


class PhotographFolder:
    """Finds the photographs of a dataset by the file names that its JSON lists."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        """`files` are names of images -> file names."""
        self.folder, self.files = folder, files

    def __call__(self, name: str) -> Path | None:
        """The photograph of an image; the JSON may list it with folders, or under the name of its PNG."""
        file = PurePosixPath(self.files[name])
        places = [self.folder / file, self.folder / file.name]
        places += [(self.folder / file.name).with_suffix(suffix) for suffix in (".jpg", ".jpeg", ".png")]
        return next((path for path in places if path.is_file()), None)


def find_photographs(truth: Path, given: Path | None, files: dict[str, str]) -> PhotographFolder | None:
    """The photographs: where they are said to be, or beside the ground truth; None if they are not there.

    Args:
        truth: the JSON of the ground truth. Beside it, in `images` or, as in COCO, in a folder of its name without
            `panoptic_`, lie the photographs by default.
        given: the folder that was asked for.
        files: see `PhotographFolder`.

    Raises:
        FileNotFoundError: no photograph of the dataset is in the folder that was asked for.
    """
    if given is not None:
        found = PhotographFolder(given, files)
        if not any(found(name) for name in files):
            first = next(iter(files.values()), "any image")
            raise FileNotFoundError(f"--images {given}: it has no {first}; give the folder of the images")
        return found
    for folder in photograph_folders(truth):
        found = PhotographFolder(folder, files)
        if any(found(name) for name in files):
            return found
    return None


def photograph_folders(truth: Path) -> list[Path]:
    """The folders beside the JSON of a ground truth that may hold its photographs, of those that are there."""
    bare = truth.stem.removeprefix("panoptic_")
    places = (truth.parent / "images", truth.parent / bare, truth.parent.parent / bare)
    return [place for place in places if place.is_dir() and place != truth.with_suffix("")]
