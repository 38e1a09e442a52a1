"""How the server moves from one configuration to the next, with models that need no TensorFlow."""

import gc
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from colchis_steps._savedmodel.versions import installed
from colchis_steps._serving.config import Config, HeaderMatch, Served, ServedModel, config_of, read_config, write_config
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._step.errors import InputError


class Known:
    """A model that is its path; a path with "broken" in it does not load."""

    classes = ("no", "yes")
    inputs: Mapping[str, Any] = {}

    def __init__(self, path: Path, allowed: Sequence[str] = ()) -> None:
        if "broken" in path.name:
            raise InputError(f"{path} is broken")
        if "reading" in path.name and "ReadFile" not in allowed:
            raise InputError(f"{path} reads files")
        self.path, self.warm, self.self = path, False, self  # as a SavedModel's parts refer to each other

    def warm_up(self, _: object = ()) -> None:
        self.warm = True


def registry() -> Registry:
    return Registry(load=cast(Any, Known))


def config(default: int, **paths: str) -> Config:
    return Config({"m": ServedModel({int(name[1:]): path for name, path in paths.items()}, default)})


def path(found: Registry, version: str | None = None) -> str:
    return str(cast(Known, found.find("m", version).saved).path)


def test_a_version_is_loaded_once_and_again_only_when_it_is_another_tree() -> None:
    found = registry()
    assert (found.ready, found.applied) == (False, None)
    found.apply(config(1, v1="a"), "x")
    first = found.find("m").saved
    assert (found.ready, found.applied, cast(Known, first).warm) == (True, "x", True)
    found.apply(config(2, v1="a", v2="b"), "y")
    assert (path(found), found.find("m", "1").saved is first) == ("b", True)
    found.apply(Config({"m": ServedModel({1: Served("a", tree="sha256:1")})}), "z")
    assert found.find("m").saved is not first


def test_the_models_own_names_of_classes_count_where_the_configuration_has_none() -> None:
    found = registry()
    found.apply(Config({"m": ServedModel({1: "a", 2: Served("b", classes=("left", "right"))})}), "x")
    assert found.find("m", "1").columns.classes == ("no", "yes")
    assert found.find("m", "2").columns.classes == ("left", "right")


def test_what_is_served_is_no_work_for_the_garbage_collector_and_what_is_let_go_is_collected() -> None:
    found = registry()
    found.apply(config(1, v1="a"), "x")
    first = weakref.ref(found.find("m").saved)
    assert not any(one is first() for one in gc.get_objects()), "each full collection would look through it"
    found.apply(config(2, v2="b"), "y")
    assert first() is None


def test_a_version_that_does_not_load_leaves_the_one_that_answers() -> None:
    found = registry()
    found.apply(config(1, v1="a"), "x")
    found.apply(config(2, v2="broken"), "y")
    assert (path(found), found.ready) == ("a", True)
    assert found.states("m") == [(2, "END", "broken is broken"), (1, "AVAILABLE", "")]
    found.apply(config(3, v3="c"), "z")
    assert (path(found), found.failures) == ("c", {})


def test_what_a_version_may_do_is_the_configurations_and_a_change_of_it_loads_it_again() -> None:
    found, allowed = registry(), Served("reading", allow_operations=("ReadFile",))
    found.apply(Config({"m": ServedModel({1: "reading"})}), "x")
    assert found.states("m") == [(1, "END", "reading reads files")]
    found.apply(Config({"m": ServedModel({1: allowed})}), "y")
    first = found.find("m").saved
    found.apply(Config({"m": ServedModel({1: Served("reading")})}), "z")
    assert found.failures == {("m", 1): "reading reads files"}
    found.apply(Config({"m": ServedModel({1: allowed})}), "y")
    assert found.find("m").saved is first, "the one that answers goes on where its successor does not load"


def test_a_model_that_a_much_newer_tensorflow_exported_is_not_loaded(caplog: pytest.LogCaptureFixture) -> None:
    major, minor = map(int, installed().split(".")[:2])
    found = registry()
    found.apply(Config({"m": ServedModel({1: Served("a", tensorflow=f"{major}.{minor + 2}.0")})}), "x")
    assert "that is too far apart" in found.states("m")[0][2]
    found.apply(Config({"m": ServedModel({2: Served("b", tensorflow=f"{major}.{minor + 1}.0")})}), "y")
    assert (path(found), "one minor older" in caplog.text) == ("b", True)


def test_a_default_that_never_loaded_is_not_ready_and_others_answer() -> None:
    found = registry()
    both = config(2, v1="a", v2="broken")
    found.apply(Config({**both.models, "n": ServedModel({1: "c"})}), "x")
    assert (found.ready, path(found, "1")) == (False, "a")
    with pytest.raises(Refused, match="does not load") as refused:
        found.find("m")
    assert refused.value.status == 503
    assert found.find("n").number == 1


def test_a_prediction_that_names_no_version_goes_by_wish_header_and_weight() -> None:
    found = registry()
    paths: dict[int, str | Served] = {1: "a", 2: "b", 3: "c"}
    match = HeaderMatch("Style", "transfer", 2)  # those of requests come in lower case, over HTTP and gRPC alike
    found.apply(Config({"m": ServedModel(paths, 1, {1: 0, 3: 100}, (match,), {"canary": 3})}), "x")
    assert found.find("m").number == 1  # what is not a prediction asks the default
    assert {found.find("m", None, {}).number for _ in range(20)} == {3}
    assert found.find("m", None, {"style": "transfer"}).number == 2
    assert found.find("m", None, {"style": "other"}).number == 3
    assert found.find("m", None, {"style": "transfer", "colchis-version": "1"}).number == 1
    assert found.find("m", None, {"colchis-version": "9"}).number == 3
    assert found.find("m", "1", {"style": "transfer"}).number == 1
    assert found.find("m", None, {"colchis-version": "2"}).number == 3  # nobody aims at what gets a share
    for number in ("2", "3"):
        with pytest.raises(Refused, match=f"version {number} of model 'm' gets a share of the requests, and none by"):
            found.find("m", number, {})
    with pytest.raises(Refused, match="and none by name"):
        found.labelled("m", "canary")
    found.apply(Config({"m": ServedModel(paths, 1, {1: 0, 3: 100}, (match,), {"canary": 3}, testers=True)}), "t")
    assert found.find("m", None, {"colchis-version": "2"}).number == 2
    assert (found.find("m", "3").number, found.labelled("m", "canary").number) == (3, 3)
    found.apply(Config({"m": ServedModel(paths, 1, {1: 30, 2: 70})}), "y")
    assert {found.find("m", None, {}).number for _ in range(200)} == {1, 2}
    found.apply(Config({"m": ServedModel({1: "a", 2: "broken"}, 1, {2: 100})}), "z")
    assert found.find("m", None, {}).number == 1  # a version that does not load gets nothing


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is wrong"),
        ('{"modells": {}}', "unknown field"),
        ('{"models": {"m": {"versions": {}}}}', "gives no versions of m"),
        ('{"models": {"m": {"versions": {"1": "/a"}, "default": 2}}}', "version 2, the default of m"),
        (
            '{"models": {"m": {"versions": {"1": "/a"}, "weights": {"1": 50, "2": 50}}}}',
            "version 2, that weights,",
        ),
        ('{"models": {"m": {"versions": {"1": "/a"}, "weights": {"1": 99}}}}', "give percents that add up to 100"),
        (
            '{"models": {"m": {"versions": {"1": "/a"}, "headers": [{"header": "a", "value": "b", "version": 7}]}}}',
            "version 7, that weights, labels or headers of m",
        ),
        ('{"models": {"../m": {"versions": {"1": "/a"}}}}', "cannot be a model's name"),
        ('{"models": {"m": {"versions": {"one": "/a"}}}}', "is wrong"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as error:
        read_config(tmp_path / "config.json")
    assert sentence in str(error.value)


def test_what_is_written_is_read_with_the_same_digest(tmp_path: Path) -> None:
    written = config(1, v1="/a")
    digest = write_config(tmp_path / "config.json", written)
    assert read_config(tmp_path / "config.json") == (written, digest)


def test_a_directory_of_versions_or_one_model_can_be_given(tmp_path: Path) -> None:
    for name in ("many/1", "many/10", "many/notes", "one", "7"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / ("model.onnx" if name == "many/10" else "saved_model.pb")).touch()
    models = config_of([f"{name[0]}={tmp_path / name}" for name in ("many", "one")]).models
    assert (sorted(models["m"].versions), models["m"].answering()) == ([1, 10], 10)
    assert list(models["o"].versions) == [1]
    assert list(config_of([f"s={tmp_path / '7'}"]).models["s"].versions) == [7]
    allowed = config_of([f"s={tmp_path / '7'}"], ("ReadFile",)).models["s"]
    assert allowed.entry(7).allow_operations == ("ReadFile",)
