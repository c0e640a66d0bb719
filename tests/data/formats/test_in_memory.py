"""What a program already holds becomes the manifest that the same images in a folder become."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import FakeData, ImageFolder, VisionDataset
from torchvision.transforms import Compose, Normalize, ToTensor

import synaug
from synaug.config import DataOptions
from synaug.data.manifest import read_image
from synaug.data.readers import read_data
from synaug.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = [0, 0, 0, 0, 1, 1]


class Arrays(VisionDataset):
    """A data set laid out as torchvision's CIFAR10 is, with a transform that would spoil the images."""

    classes = ("cat", "dog")

    def __init__(self):
        super().__init__(root=None, transform=lambda image: 1 / 0)
        self.data, self.targets = IMAGES, LABELS

    def __len__(self):
        return len(self.data)


class Items:
    """Any map-style data set."""

    def __init__(self, images, labels=LABELS):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, position):
        return self.images[position], self.labels[position], "more"


def pixels(manifest):
    return np.stack([np.asarray(read_image(manifest, row)) for row in range(len(manifest))])


@pytest.fixture
def tree(tmp_path):
    for position, label in enumerate(LABELS):
        path = tmp_path / "tree" / ("cat", "dog")[label] / f"{position}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[position]).save(path)
    return tmp_path / "tree"


def paths_of(tree):
    return sorted(tree.rglob("*.png"), key=lambda path: path.name)


HOLDERS = {
    "array": lambda tree: (IMAGES, ["cat"] * 4 + ["dog"] * 2),
    "paths": lambda tree: (paths_of(tree), np.array(["cat"] * 4 + ["dog"] * 2)),
    "pillow": lambda tree: ([Image.fromarray(image) for image in IMAGES], pd.Series(["cat"] * 4 + ["dog"] * 2)),
    "frame": lambda tree: pd.DataFrame(
        {"file": [str(path) for path in paths_of(tree)], "label": pd.Categorical.from_codes(LABELS, ["cat", "dog"])}
    ),
    "frame of images": lambda tree: pd.DataFrame(
        {"image": list(IMAGES), "class": ["cat"] * 4 + ["dog"] * 2}, index=[9, 8, 7, 6, 5, 4]
    ),
    "ImageFolder": lambda tree: ImageFolder(str(tree), transform=lambda image: 1 / 0),
    "as CIFAR10": lambda tree: Arrays(),
    "datasets": lambda tree: datasets.load_dataset(
        "imagefolder", data_dir=str(tree), cache_dir=str(tree.parent / "cache"), split="train"
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_same_images_are_the_same_manifest(holder, tree):
    manifest = read_data(HOLDERS[holder](tree))
    assert manifest.class_names == ("cat", "dog")
    assert manifest.labels.tolist() == LABELS
    assert (pixels(manifest) == IMAGES).all()
    assert manifest.frame["id"].is_unique
    assert set(manifest.frame["split"]) == {"train"}
    assert not manifest.is_synthetic.any()


@pytest.mark.parametrize("holder", ["paths", "frame", "ImageFolder"])
def test_files_stay_files(holder, tree):
    manifest = read_data(HOLDERS[holder](tree))
    assert "image" not in manifest.frame
    assert [manifest.absolute_path(row).name for row in range(6)] == [f"{n}.png" for n in range(6)]


def test_a_path_is_relative_to_where_the_program_runs(tree, monkeypatch):
    monkeypatch.chdir(tree)
    manifest = read_data((["cat/0.png", "dog/4.png"], [0, 1]))
    assert (pixels(manifest) == IMAGES[[0, 4]]).all()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ([torch.from_numpy(image).permute(2, 0, 1) for image in IMAGES], LABELS),  # channels first
        ([ToTensor()(Image.fromarray(image)) for image in IMAGES], torch.tensor(LABELS)),  # float in [0, 1]
        (IMAGES, np.array(LABELS)),
    ],
)
def test_items_of_a_torch_data_set_keep_their_pixels(images, labels):
    manifest = read_data(Items(images, labels))
    assert manifest.class_names == ("0", "1")
    assert (pixels(manifest) == IMAGES).all()


def test_any_torchvision_data_set_is_read():
    manifest = read_data(FakeData(size=12, image_size=(3, 5, 4), num_classes=2))
    assert len(manifest) == 12
    assert manifest.num_classes == 2


def test_a_subset_keeps_the_names_of_the_whole(tree):
    manifest = read_data(Subset(Subset(ImageFolder(str(tree)), [5, 4, 0, 1]), [0, 2]))
    assert manifest.class_names == ("cat", "dog")
    assert manifest.labels.tolist() == [1, 0]
    assert (pixels(manifest) == IMAGES[[5, 0]]).all()


def test_a_dict_holds_the_splits(tree):
    both = {"train": ImageFolder(str(tree)), "test": Arrays()}
    manifest = read_data(both)
    assert manifest.frame["split"].tolist() == ["train"] * 6 + ["test"] * 6
    assert (pixels(manifest.split("test")) == IMAGES).all()


def test_a_dataset_dict_is_such_a_dict():
    part = datasets.Dataset.from_dict(
        {"img": [Image.fromarray(image) for image in IMAGES], "fine_label": LABELS, "sex": ["f", "m"] * 3},
        features=datasets.Features(
            {
                "img": datasets.Image(),
                "fine_label": datasets.ClassLabel(names=["dog", "cat"]),
                "sex": datasets.Value("string"),
            }
        ),
    )
    manifest = read_data(datasets.DatasetDict(train=part, validation=part), DataOptions(attribute="sex"))
    assert manifest.class_names == ("dog", "cat")  # as they are numbered, not as they are spelt
    assert manifest.attribute_names == ("f", "m")
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 6, "validation": 6}


def test_a_broken_file_is_quarantined_as_in_a_folder(tree):
    (tree / "cat" / "0.png").write_bytes(b"no image")
    manifest = read_data(ImageFolder(str(tree)), DataOptions(max_unreadable=0.5))
    assert [item.path.rsplit("/", 1)[-1] for item in manifest.quarantined] == ["0.png"]


def test_balance_takes_what_a_program_holds(tree):
    def draw(prompts, *, seeds):
        return [Image.fromarray(IMAGES[seed % 6]) for seed in seeds]

    evened_out = synaug.balance(ImageFolder(str(tree)), generator=draw, options={"quality.gates": []})
    assert synaug.class_counts(evened_out.labels, 2).tolist() == [4, 4]
    assert evened_out.is_synthetic.sum() == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (42, r"Images cannot be read from int\. Give a path, a data frame"),
        ({}, r"no splits in the dict"),
        ((IMAGES, [0]), r"6 images but 1 labels"),
        (Items(["a", "b"], [0]), r"The Items has one class only|cannot be used"),
        (pd.DataFrame({"picture": ["a.png"], "label": ["cat"]}), r"The DataFrame has no path column"),
        ((IMAGES.astype(np.int32), LABELS), r"Image 0 is int32; allowed are uint8"),
        ((IMAGES[..., :2], LABELS), r"Image 0 has the shape \(5, 4, 2\); allowed are"),
        ({"train": Arrays(), "test": Items(IMAGES)}, r"The splits train, test name different classes"),
    ],
)
def test_what_cannot_be_read_is_named(source, words):
    with pytest.raises(DataError, match=words):
        read_data(source)


def test_a_normalising_transform_is_found_out(tree):
    transform = Compose([ToTensor(), Normalize([0.5] * 3, [0.5] * 3)])
    items = Items([transform(Image.fromarray(image)) for image in IMAGES])
    with pytest.raises(DataError, match=r"values from -.* must lie between 0 and 1\. Leave the normalising transform"):
        read_data(items)


def test_an_item_without_label_is_named():
    class Bare(Items):
        def __getitem__(self, position):
            return self.images[position]

    with pytest.raises(
        DataError, match=r"Item 0 of Bare is ndarray, no \(image, label\)\. .* as a pair \(images, labels\)"
    ):
        read_data(Bare(IMAGES))
