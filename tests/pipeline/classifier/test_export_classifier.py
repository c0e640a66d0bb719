"""Test that an exported classifier loads unchanged, has an accurate card, and is uploaded only on request."""

import base64
import http.server
import json
import threading

import huggingface_hub
import pandas as pd
import pytest
from huggingface_hub import DatasetCard, ModelCard, constants

import synaug as package
from synaug.data.export.hub_upload import push_folder
from synaug.data.manifest_file import read_manifest
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.pipeline import export as export_stage
from synaug.pipeline.classifier.export_classifier import export_classifier
from synaug.run_directory import Run, RunPaths
from synaug.runtime import storage


@pytest.fixture
def folder(finished, tmp_path):
    export_classifier(finished, tmp_path / "model", method="synaug", license="mit")
    return tmp_path / "model"


def test_the_folder_gives_the_predictions_of_the_run(folder, finished):
    expected = pd.read_csv(RunPaths(finished).method_predictions("synaug", 0))
    test = read_manifest(finished / "data.parquet").split("test")
    paths = [test.absolute_path(row) for row in range(len(test))]
    assert package.load_classifier(folder).predict(paths, batch_size=5) == expected["prediction"].tolist()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".synaug", "README.md", "classifier.safetensors", "config.json",
    ]  # fmt: skip


def test_images_in_memory_are_predicted_alike(folder, finished):
    test = read_manifest(finished / "data.parquet").split("test")
    classifier = package.load_classifier(folder)
    images = [package.to_torch(test, transform=lambda image: image, pairs=True)[row][0] for row in range(len(test))]
    assert classifier.predict(images) == classifier.predict(list(package.to_arrays(test).images))


def test_the_model_card_is_one_that_the_hub_reads(folder, finished, photos):
    card = ModelCard.load(folder / "README.md")
    report = storage.read_json(finished / "report.json")
    result = next(result for result in report["results"] if result["method"] == "synaug")
    measured = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert measured["accuracy"] == round(result["accuracy"], 4)
    assert (card.data.license, card.data.library_name) == ("mit", "synaug")
    assert {"synthetic", "synaug"} <= set(card.data.tags)
    assert card.data.pipeline_tag == "image-classification"
    for words in ("`synaug`, seed 0", f"- Data: {photos.name}, 34 real", "by `embedded`", "| bag | ", "## Limits"):
        assert words in card.text, words
    assert "nan" not in str(card).lower().split()
    assert str(photos) not in str(card)  # the location of the images is private
    config = storage.read_json(folder / "config.json")
    assert config["class_names"] == ["ankle boot", "bag", "coat"]


def test_other_formats_are_beside_the_classifier_and_the_card_has_their_differences(finished, synaug, tmp_path):
    out = tmp_path / "model"
    done = synaug("export", finished, "--out", out, "--classifier", "synaug", "--formats", "torchscript")
    assert done.code == 0, done.err
    about = storage.read_json(out / "config.json")["formats"]["torchscript"]
    assert (out / about["file"]).is_file()
    assert about["max_difference"] <= 1e-4
    assert about["num_compared"] > 2
    assert "| torchscript | `classifier.torchscript.pt` |" in (out / "README.md").read_text()
    assert package.load_classifier(out).class_names == ("ankle boot", "bag", "coat")


@pytest.mark.parametrize("words", [["--formats", "onnx"], ["--classifier", "synaug", "--formats", "onxx"],
                                   ["--classifier", "synaug", "--formats", "timm"]])  # fmt: skip
def test_a_format_that_cannot_be_leaves_nothing(finished, synaug, tmp_path, words):
    assert synaug("export", finished, "--out", tmp_path / "model", *words).code == 2
    assert not (tmp_path / "model").exists()


def test_the_data_card_is_one_that_the_hub_reads(finished, tmp_path):
    export_stage.export(Run.open(finished), tmp_path / "data", license="cc-by-4.0")
    card = DatasetCard.load(tmp_path / "data" / "README.md")
    assert (card.data.license, card.data.size_categories) == ("cc-by-4.0", ["n<1K"])
    assert card.data.task_categories == ["image-classification"]
    for words in ("- generator: embedded", "accepted of", "## Limits", "trainedAlgorithmicMedia"):
        assert words in card.text, words


def test_unusable_exports_are_named_errors(finished, folder, tmp_path):
    with pytest.raises(OptionError, match="exists and is not empty"):
        export_classifier(finished, folder, method="cross_entropy", license="mit")
    with pytest.raises(OptionError, match=r"Unknown method 'synaugg'\. Did you mean 'synaug'"):
        export_classifier(finished, tmp_path / "other", method="synaugg")
    with pytest.raises(DataError, match=r"crt;.*cross_entropy, .*Train"):
        export_classifier(finished, tmp_path / "other", method="crt")


def test_the_same_call_after_a_kill_at_the_very_end_ends_well(finished, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / ".export.lock").write_text("4711")
    export_classifier(finished, folder, method="synaug", license="mit")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["classifier.safetensors", "config.json", "README.md", ".synaug"])
def test_a_classifier_that_somebody_changed_is_detected(finished, folder, name):
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    if name == ".synaug":
        (folder / name).unlink()
    with pytest.raises(OptionError, match="exists and is not empty"):
        export_classifier(finished, folder, method="synaug", license="mit")


# ---------------------------------------------------------------- a Hub on this machine


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers the requests of the Hub's client when it creates a repository and uploads to it."""

    def do_GET(self):
        self.asked()
        self.reply({"id": "me/mine", "private": self.server.is_private, "siblings": []})

    def do_POST(self):
        body = self.asked()
        if self.path == "/api/repos/create":
            self.reply({"url": f"{self.server.url}/me/mine", "name": "me/mine"})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            self.reply({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.reply({"success": True, "commitOid": 40 * "0", "commitUrl": f"{self.server.url}/me/mine/commit/0"})
        else:
            self.reply({})

    def asked(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.path, self.headers.get("Authorization"), body))
        return body

    def reply(self, content):
        data = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A local server that replaces the Hub, and a token for it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.files, server.requests, server.is_private, server.status = {}, [], True, 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_classifier_is_uploaded_to_the_requested_repository(hub, finished, tmp_path, synaug):
    out = tmp_path / "model"
    done = synaug("export", finished, "--classifier", "synaug", "--out", out, "--push-to-hub", "me/mine", "--private")
    assert done.code == 0
    assert "/me/mine\n" in done.out
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    _, token, body = next(request for request in hub.requests if request[0] == "/api/repos/create")
    assert token == "Bearer hf_secret"
    assert b'"private"' in body
    assert "hf_secret" not in done.out + done.err


def test_a_data_set_is_sent_whole(hub, finished, tmp_path):
    export_stage.export(Run.open(finished), tmp_path / "data")
    push_folder(tmp_path / "data", "me/mine", kind="dataset")
    sent = {path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert set(hub.files) == sent
    assert b'"private"' not in hub.requests[0][2]
    assert any("/api/datasets/me/mine/commit/" in path for path, _, _ in hub.requests)


@pytest.mark.parametrize("kind", ["dataset", "model"])
@pytest.mark.parametrize("foreign", ["passwords.txt", "train/bag/mine.png", "link"])
def test_files_of_the_users_are_not_sent(hub, finished, folder, tmp_path, kind, foreign):
    out = folder
    if kind == "dataset":
        out = tmp_path / "data"
        export_stage.export(Run.open(finished), out)
    if foreign == "link":
        (tmp_path / "secret").write_text("secret")
        (out / "README.md").unlink()
        (out / "README.md").symlink_to(tmp_path / "secret")
    else:
        storage.make_folder((out / foreign).parent)
        (out / foreign).write_text("secret")
    with pytest.raises(OptionError, match="which synaug did not write"):
        push_folder(out, "me/mine", kind=kind)
    assert not hub.files


def test_nothing_is_sent_unless_requested(hub, finished, tmp_path, synaug):
    assert synaug("export", finished, "--classifier", "synaug", "--out", tmp_path / "model").code == 0
    assert synaug("export", finished, "--out", tmp_path / "data").code == 0
    assert not hub.requests


def test_a_public_repository_does_not_receive_a_private_upload(hub, folder):
    hub.is_private = False
    with pytest.raises(OptionError, match="me/mine is already public, so nothing was uploaded"):
        push_folder(folder, "me/mine", kind="model", private=True)
    assert not hub.files


def test_a_refusal_by_the_hub_is_an_error_of_the_environment(hub, folder):
    hub.status = 403
    with pytest.raises(EnvironmentFault, match=r"me/mine: .*403.*hf"):
        push_folder(folder, "me/mine", kind="model")


def test_without_a_token_nothing_is_begun(hub, finished, tmp_path, synaug, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    done = synaug("export", finished, "--out", tmp_path / "data", "--push-to-hub", "me/mine")
    assert done.code == 5
    assert "No token with write access to the Hub was found. Set HF_TOKEN" in done.err
    assert not (tmp_path / "data").exists()
    assert not hub.requests


@pytest.mark.parametrize("name", ["mine", "me/mi ne", "me/mine/more"])
def test_a_name_that_is_not_a_repository_is_named(hub, folder, name):
    with pytest.raises(OptionError, match=r"is not a Hub repository.*Give USER/NAME"):
        push_folder(folder, name, kind="model")


def test_offline_is_an_error_that_names_the_variable(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentFault, match="HF_HUB_OFFLINE is set, so nothing can be uploaded"):
        push_folder(folder, "me/mine", kind="model")


def test_private_is_about_a_repository(finished, tmp_path, synaug):
    done = synaug("export", finished, "--out", tmp_path / "data", "--private")
    assert done.code == 2
    assert "--push-to-hub USER/NAME" in done.err
