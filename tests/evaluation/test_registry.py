"""Names of metrics: what they mean, old ones, and the page that lists them."""

import pathlib
import types

import pytest

from hpe import systems
from hpe.evaluation import document, registry
from hpe.evaluation.measure import Better
from hpe.records.manifest import Manifest


def test_names_hold_their_protocol():
    name = registry.parse("pckh0.5@mpii16")
    assert (name.family.name, name.protocol, name.fraction) == ("pckh{fraction}", "mpii16", 0.5)
    assert registry.parse("silhouette_f1@picture").family.better is Better.HIGHER
    for text in (
        "mpjpe",
        "mpjpe@nobody",
        "silhouette_f1@moon",
        "mesh_loss@picture",
        "pckh@mpii16",
        "acc@lsp14",
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            registry.parse(text)


def test_hrnets_mean_at_a_tenth_is_at_eleven_hundredths():
    assert registry.parse("Mean@0.1").text == "pckh0.11@mpii16"
    assert registry.parse("Mean@0.1").fraction == 0.11


def test_old_names_and_families_mean_the_first_of_a_report():
    names = ["pck0.2torso@lsp14", "mpjpe@lsp14", "mpjpe@lsp14/Walking", "mpjpe_actions@lsp14", "mpjpe@h36m17"]
    assert registry.find("pck_0.2_torso", names) == "pck0.2torso@lsp14"
    assert registry.find("mpjpe", names) == "mpjpe@lsp14"
    assert registry.find("mpjpe@h36m17", names) == "mpjpe@h36m17"
    assert registry.find("mpjpe_actions", names) == "mpjpe_actions@lsp14"
    assert registry.find("pve", names) is None


def test_directions():
    assert registry.better("mpjpe") is registry.better("mpjpe_actions@h36m17") is Better.LOWER
    assert registry.better("pck_0.2_torso") is registry.better("Mean@0.1") is Better.HIGHER
    with pytest.raises(
        ValueError, match="'accuracy' is no metric to judge a run by; there are keypoint_loss@"
    ):
        registry.better("accuracy")


def test_truth_is_asked_for_in_the_joint_sets_of_the_datasets():
    system = types.SimpleNamespace(skeleton="coco17", input_key="image", body_models=())
    names = ["pck0.2torso@coco17", "mpjpe@h36m17", "silhouette_f1@picture"]

    def asked(*manifests):
        needs = registry.needs_of(system, names, manifests)
        return needs.skeleton2d, needs.skeleton3d

    people = Manifest("people", "lsp14", (), fields={"joints2d": 9})
    studio = Manifest("studio", "openpose18", (), skeleton3d="h36m17")
    assert asked(studio) == ("openpose18", "h36m17")
    assert asked(people) == ("lsp14", "h36m17")
    # Several sets, and the originals' records: one that holds the joints of all protocols.
    assert asked(people, studio) == ("coco17", "h36m17")
    assert asked(None) == ("cocoplus19", "cocoplus19")
    needs = registry.needs_of(system, names)
    assert {"image", "joints2d", "joints3d", "silhouette_file", "image_to_crop", "action"} <= set(
        needs.fields
    )


@pytest.mark.parametrize("name", systems.names())
def test_systems_name_metrics_that_there_are(name):
    for metric in systems.get(name).metrics:
        assert registry.better(metric) in Better
        assert registry.parse(metric if "@" in metric else f"{metric}@lsp14")


def test_a_metric_of_another_package_is_registered_once():
    with pytest.raises(ValueError, match="already"):
        registry.register(document.registry.families()[0].__class__(*(["mpjpe"] + [None] * 7)))


def test_the_page_of_metrics_is_that_of_the_code():
    path = pathlib.Path(__file__).parents[2] / "docs" / "evaluation.md"
    assert path.read_text() == document.to_markdown(), (
        "run: python -m hpe.evaluation.document > docs/evaluation.md"
    )
