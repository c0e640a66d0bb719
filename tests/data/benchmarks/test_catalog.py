"""Test the known data sets in their official formats, and the messages for missing or different files."""

from dataclasses import replace

import pytest

from synaug.config import DataOptions
from synaug.data.benchmarks import catalog
from synaug.data.benchmarks.catalog import BENCHMARKS, Expected, known_datasets
from synaug.data.groups import summary
from synaug.data.readers import read_data
from synaug.errors import DataError, OptionError


def trial(name, **more):
    return DataOptions(benchmark=name, partial=True, **more)


@pytest.fixture
def expecting(monkeypatch):
    """Accept other numbers of images as a complete data set."""

    def change(name, expected):
        monkeypatch.setitem(catalog.BENCHMARKS, name, replace(BENCHMARKS[name], expected=lambda _: expected))

    return change


# ---------------------------------------------------------------- expected numbers


@pytest.mark.parametrize(
    ("name", "factor", "train"),
    [
        ("cifar100_lt", None, 10_847), ("cifar100_lt", 50, 12_608), ("cifar100_lt", 10, 19_573),
        ("cifar10_lt", 100, 12_406), ("cifar10_lt", 50, 13_996), ("cifar10_lt", 10, 20_431),
    ],
)  # fmt: skip
def test_cifar_is_expected_with_the_published_totals(name, factor, train):
    expected = BENCHMARKS[name].expected(DataOptions(imbalance_factor=factor))
    assert expected.splits == {"train": train, "test": 10_000}
    assert sum(expected.class_counts) == train


def test_the_groups_of_waterbirds_are_those_of_its_training_images():
    expected = BENCHMARKS["waterbirds"].expected(DataOptions())
    assert list(expected.group_counts.values()) == [3498, 184, 56, 1057]
    assert sum(expected.group_counts.values()) == expected.splits["train"]


def test_every_data_set_is_listed_with_the_facts_that_users_need():
    rows = known_datasets()
    assert [row["name"] for row in rows] == list(BENCHMARKS)
    assert all(row[column] for row in rows for column in ("problem", "images", "license", "source", "data"))


def test_options_that_do_not_go_with_it(tmp_path):
    with pytest.raises(OptionError, match=r"imbalance_factor: waterbirds has a fixed imbalance factor"):
        read_data(tmp_path, DataOptions(benchmark="waterbirds", imbalance_factor=10))
    with pytest.raises(OptionError, match=r"utkface is not read from the Hub\. Give the folder of images"):
        read_data("hf:someone/utkface", DataOptions(benchmark="utkface"))
    with pytest.raises(DataError, match=r"nowhere does not exist\. Give the folder of images"):
        read_data(tmp_path / "nowhere", DataOptions(benchmark="utkface"))


# ---------------------------------------------------------------- Waterbirds


def test_waterbirds_is_whole_or_the_groups_that_differ_are_named(waterbirds, expecting):
    root = waterbirds()
    with pytest.raises(
        DataError,
        match=r"waterbirds is not the complete waterbirds: expected 4,795 training images, found 14; .*"
        r"the group landbird x land has 6 training images, expected 3,498.*Get it from https",
    ):
        read_data(root, DataOptions(benchmark="waterbirds"))
    expecting("waterbirds", Expected({"train": 14, "test": 8}, group_counts={("landbird", "land"): 6}))
    manifest = read_data(root, DataOptions(benchmark="waterbirds"))
    assert summary(manifest.split("train"))["group_counts"]["waterbird x land"] == 2


def test_missing_images_of_a_table_are_an_error_or_left_out(waterbirds):
    root = waterbirds()
    lost = sorted(root.rglob("*.jpg"))[0]
    lost.unlink()
    with pytest.raises(DataError, match=rf"1 of 22 images .* \(1 of train\); first: 001.Bird/{lost.name}"):
        read_data(root, DataOptions(benchmark="waterbirds"))
    assert len(read_data(root, trial("waterbirds"))) == 21


# ---------------------------------------------------------------- UTKFace


def test_utkface_takes_gender_and_race_by_default_and_leaves_bad_names_out(utkface, expecting):
    manifest = read_data(utkface, trial("utkface", max_unreadable=0.1))
    assert (manifest.class_names, manifest.attribute_names) == (
        ("female", "male"),
        ("asian", "black", "indian", "other", "white"),
    )
    assert [item.path for item in manifest.quarantined] == ["61_1_20170109150557335.jpg.chip.jpg"]
    with pytest.raises(DataError, match=r"expected about 23,700 training images, found 25"):
        read_data(utkface, DataOptions(benchmark="utkface"))


def test_utkface_takes_any_two_fields(utkface):
    manifest = read_data(utkface, trial("utkface", label="age_band", attribute="gender", max_unreadable=0.1))
    assert manifest.class_names == ("0-19", "20-39", "40-59", "60+")
    assert manifest.attribute_names == ("female", "male")


# ---------------------------------------------------------------- ImageNet-LT


def test_list_files_name_images_and_number_the_synsets(imagenet100):
    manifest = read_data(imagenet100, trial("imagenet100_lt"))
    assert manifest.class_names == ("n02869837", "n01440764")
    assert summary(manifest.split("train"))["class_counts"] == {"n02869837": 8, "n01440764": 3}
    assert len(manifest.split("test")) == 4
    assert len(manifest.split("validation")) == 2


def test_list_files_may_lie_elsewhere_and_a_missing_image_is_named(imagenet100, tmp_path):
    (imagenet100 / "train/n02869837/n02869837_3.JPEG").unlink()
    lists = tmp_path / "lists"
    lists.mkdir()
    for path in imagenet100.glob("*.txt"):
        path.rename(lists / path.name)
    with pytest.raises(DataError, match=r"imageNet_100_LT_train.txt cannot be read.*name its folder in data.lists"):
        read_data(imagenet100, trial("imagenet100_lt"))
    with pytest.raises(DataError, match=r"1 of 17 images .*first: train/n02869837/n02869837_3.JPEG"):
        read_data(imagenet100, DataOptions(benchmark="imagenet100_lt", lists=str(lists)))
    assert len(read_data(imagenet100, trial("imagenet100_lt", lists=str(lists)))) == 16


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train/n02869837/1.JPEG", "line 9 is 'train/n02869837/1.JPEG', not 'folder/image label'"),
        ("../other/n02869837/1.JPEG 0", "is not allowed: paths must be relative"),
        ("train/n01440764/1.JPEG 0", "assign two numbers to one class folder"),
    ],
)
def test_bad_list_files(imagenet100, line, words):
    path = imagenet100 / "imageNet_100_LT_train.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:8]) + f"\n{line}\n")
    with pytest.raises(DataError, match=words):
        read_data(imagenet100, trial("imagenet100_lt"))


# ---------------------------------------------------------------- CelebA and FairFace

VALUES = {"000001.jpg": (-1, 1, 0), "000002.jpg": (1, -1, 0), "000003.jpg": (-1, -1, 1), "000004.jpg": (1, -1, 2)}


def celeba(root, save_image, *, kind):
    for number, name in enumerate(VALUES):
        save_image(root / "img_align_celeba" / name, seed=number)
    separator = "," if kind == "csv" else " "
    attributes = [separator.join(map(str, (name, *values[:2]))) for name, values in VALUES.items()]
    parts = [separator.join((name, str(values[2]))) for name, values in VALUES.items()]
    if kind == "csv":
        attributes, parts = ["image_id,Blond_Hair,Male", *attributes], ["image_id,partition", *parts]
    else:
        attributes = ["4", "Blond_Hair Male", *attributes]
    (root / f"list_attr_celeba.{kind}").write_text("\n".join(attributes) + "\n")
    (root / f"list_eval_partition.{kind}").write_text("\n".join(parts) + "\n")
    return root


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_celeba_in_both_forms(tmp_path, save_image, kind):
    manifest = read_data(celeba(tmp_path, save_image, kind=kind), trial("celeba"))
    assert manifest.class_names == ("not Blond_Hair", "Blond_Hair")
    assert manifest.attribute_names == ("female", "male")
    assert manifest.labels.tolist() == [0, 1, 0, 1]
    assert manifest.attributes.tolist() == [1, 0, 0, 0]
    assert manifest.frame["split"].tolist() == ["train", "train", "validation", "test"]


def test_celeba_by_another_attribute_and_with_wrong_options(tmp_path, save_image):
    root = celeba(tmp_path, save_image, kind="csv")
    assert read_data(root, trial("celeba", label="Male")).class_names == ("female", "male")
    with pytest.raises(OptionError, match=r"CelebA label 'Blond'\..*'Blond_Hair'"):
        read_data(root, trial("celeba", label="Blond"))
    with pytest.raises(OptionError, match="both 'Male'"):
        read_data(root, trial("celeba", label="Male", attribute="Male"))
    with pytest.raises(DataError, match=r"expected 162,770 training images, found 2"):
        read_data(root, DataOptions(benchmark="celeba"))
    (root / "list_eval_partition.csv").write_text("image_id,partition\n000001.jpg,0\n")
    with pytest.raises(DataError, match="name different images"):
        read_data(root, trial("celeba"))
    (root / "list_eval_partition.csv").unlink()
    with pytest.raises(DataError, match=r"has neither list_eval_partition\.csv nor list_eval_partition\.txt"):
        read_data(root, trial("celeba"))


def test_celeba_as_subpopbench_lists_it(tmp_path, save_image):
    for number in range(3):
        save_image(tmp_path / f"img_align_celeba/{number}.jpg", seed=number)
    rows = ["0,img_align_celeba/0.jpg,0,0,1", "1,img_align_celeba/1.jpg,0,1,0", "2,img_align_celeba/2.jpg,2,1,0"]
    (tmp_path / "metadata_celeba.csv").write_text("\n".join(["id,filename,split,y,a", *rows]) + "\n")
    manifest = read_data(tmp_path, trial("celeba"))
    assert manifest.labels.tolist() == [0, 1, 1]
    assert manifest.attributes.tolist() == [1, 0, 0]


def test_fairface_is_tested_on_its_validation_images(tmp_path, save_image):
    rows = {"train": ["20-29,Male,Black,True", "3-9,Female,East Asian,False"], "val": ["more than 70,Male,White,True"]}
    for split, lines in rows.items():
        text = ["file,age,gender,race,service_test"]
        for number, line in enumerate(lines, 1):
            save_image(tmp_path / f"{split}/{number}.jpg", seed=number)
            text.append(f"{split}/{number}.jpg,{line}")
        (tmp_path / f"fairface_label_{split}.csv").write_text("\n".join(text) + "\n")
    manifest = read_data(tmp_path, trial("fairface"))
    assert manifest.class_names == ("Female", "Male")
    assert manifest.attribute_names == ("Black", "East Asian", "White")
    assert manifest.frame["split"].tolist() == ["train", "train", "test"]
    with pytest.raises(OptionError, match="Unknown FairFace label 'sex'"):
        read_data(tmp_path, trial("fairface", label="sex"))
    with pytest.raises(OptionError, match="both 'age'"):
        read_data(tmp_path, trial("fairface", label="age", attribute="age"))


# ---------------------------------------------------------------- commands


def test_the_commands_list_the_data_sets_and_check_one(synaug, waterbirds):
    assert "waterbirds  spurious correlation; 4,795 train" in synaug("datasets").out
    assert '"name": "cifar100_lt"' in synaug("datasets", "--json").out
    ended = synaug("count", waterbirds(), "--benchmark", "waterbirds")
    assert ended.code == 4
    assert "expected 4,795 training images, found 14" in ended.err
