"""Test that in-memory data become the same manifest as the same images in a folder."""

import io
import sys

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets import FakeData, ImageFolder, VisionDataset
from torchvision.transforms import Compose, Normalize, ToTensor

import synaug
from synaug.config import DataOptions
from synaug.data.manifest import read_image
from synaug.data.readers import read_data
from synaug.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = [0, 0, 0, 0, 1, 1]
EXACT = DataOptions(near_duplicates=False)


class Arrays(VisionDataset):
    """A data set structured like torchvision's CIFAR10, with a transform that would change the images."""

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


def test_a_path_is_relative_to_the_working_directory(tree, monkeypatch):
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


def test_concatenated_data_sets_keep_their_names_and_must_agree_on_them(tree):
    manifest = read_data(ConcatDataset([ImageFolder(str(tree)), Subset(ImageFolder(str(tree)), [0, 5])]), EXACT)
    assert manifest.class_names == ("cat", "dog")
    other = Arrays()
    other.classes = ["dog", "cat"]
    with pytest.raises(DataError, match="name different classes"):
        read_data(ConcatDataset([Arrays(), other]))


def test_a_pyarrow_table_is_read_like_the_frame(tree):
    frame = pd.DataFrame({"path": [str(path) for path in sorted(tree.rglob("*.png"))]})
    frame["label"] = [path.split("/")[-2] for path in frame["path"]]
    assert (read_data(pa.Table.from_pandas(frame)).labels == read_data(frame).labels).all()


def test_masked_labels_are_missing():
    with pytest.raises(DataError, match="no value in 1 of 6"):
        read_data((IMAGES, np.ma.masked_array(LABELS, mask=[0, 0, 0, 0, 0, 1])))


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
    assert manifest.class_names == ("dog", "cat")  # in numbered order, not in alphabetical order
    assert manifest.attribute_names == ("f", "m")
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 6, "validation": 6}


def streamed():
    for image, label in zip(IMAGES, LABELS, strict=True):
        yield {"image": Image.fromarray(image), "label": label}


STREAMS = {
    "columns of known types": lambda: datasets.Dataset.from_generator(
        streamed,
        features=datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])}),
    ).to_iterable_dataset(),
    "columns of unknown types": lambda: datasets.IterableDataset.from_generator(streamed),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_is_read_to_its_end(kind):
    manifest = read_data(STREAMS[kind]())
    assert (pixels(manifest) == IMAGES).all()
    names = ("dog", "cat") if kind == "columns of known types" else tuple(map(str, sorted(set(LABELS))))
    assert manifest.class_names == names
    assert manifest.labels.tolist() == list(LABELS)


def test_a_part_of_a_stream_in_another_order_keeps_its_labels():
    part = datasets.IterableDataset.from_generator(streamed).shuffle(seed=1, buffer_size=3).take(4)
    manifest = read_data({"train": part})
    label_of = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [label_of[image.tobytes()] for image in pixels(manifest)] == manifest.labels.tolist()


def test_an_empty_stream_is_an_error():
    with pytest.raises(DataError, match="no rows"):
        read_data(datasets.IterableDataset.from_generator(streamed).take(0))


def test_a_broken_file_is_quarantined_as_in_a_folder(tree):
    (tree / "cat" / "0.png").write_bytes(b"no image")
    manifest = read_data(ImageFolder(str(tree)), DataOptions(max_unreadable=0.5))
    assert [item.path.rsplit("/", 1)[-1] for item in manifest.quarantined] == ["0.png"]


def test_balance_accepts_data_in_memory(tree):
    def draw(prompts, *, seeds):
        return [Image.fromarray(IMAGES[seed % 6]) for seed in seeds]

    evened_out = synaug.balance(ImageFolder(str(tree)), generator=draw, options={"quality.gates": []})
    assert synaug.class_counts(evened_out.labels, 2).tolist() == [4, 4]
    assert evened_out.is_synthetic.sum() == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (42, r"Images cannot be read from int\. Give a path, a data frame"),
        ({}, r"contains no splits"),
        ((IMAGES, [0]), r"6 images but 1 labels"),
        (Items(["a", "b"], [0]), r"The Items has only one class|cannot be used"),
        (pd.DataFrame({"picture": ["a.png"], "label": ["cat"]}), r"The DataFrame has no path column"),
        ((IMAGES.astype(np.int32) - 9, LABELS), r"The set of int32 images has pixels from -9"),
        ((IMAGES.astype(str), LABELS), r"Image 0 is <U"),
        ((IMAGES[..., :2], LABELS), r"Image 0 has the shape \(5, 4, 2\); allowed:"),
        ({"train": Arrays(), "test": Items(IMAGES)}, r"The splits train, test name different classes"),
        ({"image": list(IMAGES), "label": LABELS}, r"'label', which names a column.*pd\.DataFrame"),
        (((image for image in IMAGES), LABELS), r"of type generator"),
        (([io.BytesIO(b"x") for _ in LABELS], LABELS), r"Image 0 is BytesIO; allowed: paths"),
        (([sys.stdin.buffer] * 6, LABELS), r"Image 0 is .*; allowed: paths"),
        (([object()] * 6, LABELS), r"Image 0 is object; allowed: paths"),
        ((np.ma.masked_array(IMAGES, mask=IMAGES > 250), LABELS), r"masked pixels"),
    ],
)
def test_unreadable_input_is_named(source, words):
    with pytest.raises(DataError, match=words):
        read_data(source)


def test_a_normalizing_transform_is_found_out(tree):
    transform = Compose([ToTensor(), Normalize([0.5] * 3, [0.5] * 3)])
    items = Items([transform(Image.fromarray(image)) for image in IMAGES])
    with pytest.raises(DataError, match=r"pixels from -.* Leave the normalizing transform"):
        read_data(items)


def test_an_item_without_label_is_named():
    class Bare(Items):
        def __getitem__(self, position):
            return self.images[position]

    with pytest.raises(DataError, match=r"Item 0.*Bare.*\(image, label\)\..*\(images, labels\)"):
        read_data(Bare(IMAGES))


PLAIN = [Image.fromarray(image) for image in IMAGES]
GRAY = np.stack([np.asarray(image.convert("L")) for image in PLAIN])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES.transpose(0, 3, 1, 2), IMAGES),
        (torch.from_numpy(IMAGES), IMAGES),  # a tensor with its channels last, like .data of torchvision
        (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).bfloat16() / 255, IMAGES),
        ((torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255).requires_grad_(), IMAGES),
        (IMAGES / 255, IMAGES),
        (IMAGES.astype(np.float32), IMAGES),  # floats from 0 to 255
        (IMAGES.astype(np.uint16) * 257, IMAGES),
        (IMAGES.astype(np.int64), IMAGES),
        (IMAGES.tolist(), IMAGES),
        (np.concatenate([IMAGES, np.full_like(IMAGES[..., :1], 255)], 3), IMAGES),  # opaque
        (np.concatenate([IMAGES, np.zeros_like(IMAGES[..., :1])], 3), np.full_like(IMAGES, 255)),  # transparent
        (GRAY > 128, (GRAY > 128) * 255),
        (GRAY[:, None], GRAY),
        (GRAY[..., None] / 255.0, GRAY),
        (pd.Series(list(IMAGES / 255)), IMAGES),
    ],
)
def test_arrays_of_any_type_scale_and_layout_are_read_as_a_person_expects(images, expected):
    found = pixels(read_data((images, LABELS)))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (1 if "bfloat16" in str(getattr(images, "dtype", "")) else 0)


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "La", "PA", "RGBX", "RGBa"])
def test_pillow_images_of_any_mode_look_as_before(mode):
    through = {"PA": "P", "La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    given = [image.convert(through).convert(mode) for image in PLAIN]
    gray = mode in ("1", "LA", "La")
    expected = GRAY if gray else IMAGES
    if mode in ("1", "P", "PA"):  # few colors, so compare what remains
        expected = np.stack([np.asarray(image.convert(through).convert("L" if gray else "RGB")) for image in PLAIN])
    found = pixels(read_data((given, LABELS)))
    assert np.abs(found.astype(int) - expected).max() <= {"LAB": 24, "HSV": 6, "YCbCr": 6}.get(mode, 0)


@pytest.mark.parametrize("dark", [0, 3, 255])
def test_a_dark_image_has_the_scale_of_its_set(dark):
    wide = [Image.fromarray(image.astype(np.uint16) * 257) for image in GRAY]
    wide[0] = Image.fromarray(np.full((5, 4), dark, np.uint16))
    found = pixels(read_data((wide, LABELS)))
    assert (found[0] == round(dark / 257)).all()
    assert (found[1:] == GRAY[1:]).all()


def test_an_image_in_memory_is_upright_as_in_a_file(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    PLAIN[0].save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        in_memory = read_data(([image] * 2, [0, 1]))
    in_file = read_data(([tmp_path / "a.png", np.zeros((5, 4), np.uint8)], [0, 1]))
    assert (np.asarray(read_image(in_memory, 0)) == np.asarray(read_image(in_file, 0))).all()


def test_a_damaged_pillow_image_is_named(tmp_path):
    PLAIN[0].resize((99, 99)).save(tmp_path / "a.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    with Image.open(tmp_path / "cut.jpg") as image, pytest.raises(DataError, match="Image 1 cannot be decoded"):
        read_data(([PLAIN[0], image], [0, 1]))


@pytest.mark.parametrize(
    "image", [np.zeros((0, 5)), np.zeros(5), np.zeros((1, 2, 3, 4)), None, object(), [[1, 2], [3]]]
)
def test_a_missing_image_is_named(image):
    with pytest.raises(DataError, match="Image 1 "):
        read_data(([IMAGES[0], image], [0, 1]))
