import dataclasses
import pickle

import numpy as np
import pytest
import scipy.spatial

from hpe.body.data import DEFAULT_BODY, load_body_model, save_body_model
from hpe.body.regions import Region
from hpe.errors import UserError
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24
from tests.body.body_files import PARENTS, random_tables, smpl_sized_tables, write_pickle


def test_a_smpl_pickle_is_read(smpl_pickle, smpl_tables):
    data = load_body_model(smpl_pickle)
    assert data.name.startswith("model-")
    assert not data.is_smpl
    np.testing.assert_array_equal(data.v_template, smpl_tables["v_template"].astype(np.float32))
    np.testing.assert_array_equal(data.shape_dirs, smpl_tables["shapedirs"].astype(np.float32))
    np.testing.assert_array_equal(data.pose_dirs, smpl_tables["posedirs"].astype(np.float32))
    np.testing.assert_array_equal(data.joint_regressor, smpl_tables["J_regressor"].astype(np.float32))
    np.testing.assert_array_equal(data.parents, PARENTS)
    np.testing.assert_array_equal(data.faces, smpl_tables["f"])
    np.testing.assert_array_equal(
        data.keypoint_regressors["cocoplus19"], smpl_tables["cocoplus_regressor"].astype(np.float32)
    )
    assert data.keypoint_regressors["h36m17"].shape == (17, 60)
    np.testing.assert_allclose(data.mean_pose[:3], [np.pi, 0.0, 0.0], atol=1e-6)
    assert data.vertex_colors is None


def test_a_pickle_saved_as_npz_is_the_same_body(smpl_pickle, tmp_path):
    data = load_body_model(smpl_pickle)
    save_body_model(tmp_path / "model.npz", data)
    again = load_body_model(tmp_path / "model.npz")
    for field in dataclasses.fields(data):
        if field.name in ("source", "keypoint_regressors"):
            continue
        np.testing.assert_array_equal(getattr(again, field.name), getattr(data, field.name), field.name)
    assert set(again.keypoint_regressors) == set(data.keypoint_regressors)
    assert list(tmp_path.glob("tmp*")) == []


def test_more_than_ten_shape_components_are_cut(tmp_path):
    tables = random_tables()
    tables["shapedirs"] = np.random.default_rng(0).normal(size=(60, 3, 300))
    np.savez(tmp_path / "a.npz", **tables)
    data = load_body_model(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.shape_dirs, tables["shapedirs"][:, :, :10].astype(np.float32))


def test_smpl_without_keypoint_regressor_uses_its_joints_and_face_vertices(tmp_path, monkeypatch):
    tables = smpl_sized_tables(keypoints=False)
    data = load_body_model(write_pickle(tmp_path / "model.pkl", tables, monkeypatch))
    coco = data.keypoint_regressors["cocoplus19"]
    for joint in ("right_ankle", "left_wrist", "neck", "left_hip"):
        expected = data.joint_regressor[SMPL24.index(joint)]
        np.testing.assert_array_equal(coco[COCOPLUS19.index(joint)], expected)
    for joint, vertex in {"nose": 332, "left_eye": 2800, "right_ear": 4071}.items():
        np.testing.assert_array_equal(np.flatnonzero(coco[COCOPLUS19.index(joint)]), [vertex])
    top = np.flatnonzero(coco[COCOPLUS19.index("head_top")])
    np.testing.assert_array_equal(top, [data.v_template[:, 1].argmax()])
    assert data.pose_dirs is None


def test_another_topology_without_keypoint_regressor_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **random_tables(keypoints=False))
    with pytest.raises(UserError, match=r"a\.npz: it lacks cocoplus_regressor \(19, 60\)"):
        load_body_model(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **random_tables(6890, pose_dirs=False, keypoints=False))
    with pytest.raises(UserError, match=r"b\.npz: it lacks cocoplus_regressor \(19, 6890\)"):
        load_body_model(tmp_path / "b.npz")


def test_bodies_of_one_file_name_have_different_names(tmp_path):
    names = set()
    for folder, tables in (
        ("a", random_tables()),
        ("b", random_tables(seed=1)),
        ("c", random_tables() | {"shapedirs": np.zeros((60, 3, 10))}),
    ):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "model.npz", **tables)
        names.add(load_body_model(tmp_path / folder / "model.npz").name)
    assert len(names) == 3
    assert all(name.startswith("model-") for name in names)


def test_a_body_keeps_its_name_in_another_file_until_it_is_edited(tmp_path, default):
    save_body_model(tmp_path / "copy.npz", default)
    assert load_body_model(tmp_path / "copy.npz").name == default.name == "default"
    with np.load(tmp_path / "copy.npz") as archive:
        tables = dict(archive)
    tables["v_template"] = 1.1 * tables["v_template"]
    np.savez(tmp_path / "copy.npz", **tables)
    assert load_body_model(tmp_path / "copy.npz").name.startswith("copy-")


def test_bodies_of_smpl_topology_are_smpl_and_others_of_its_size_are_not(tmp_path):
    np.savez(tmp_path / "any.npz", **smpl_sized_tables())
    np.savez(tmp_path / "other.npz", **random_tables(6890, pose_dirs=False))
    assert load_body_model(tmp_path / "any.npz").name == "smpl"
    assert load_body_model(tmp_path / "any.npz").is_smpl
    assert not load_body_model(tmp_path / "other.npz").is_smpl


@pytest.mark.parametrize(
    ("stem", "gender", "name"),
    [
        ("SMPL_MALE", "male", "smpl_male"),
        ("basicModel_f_lbs_10_207_0_v1.0.0", "female", "smpl_female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0", "male", "smpl_male"),
        ("SMPL_NEUTRAL", "neutral", "smpl"),
    ],
)
def test_men_women_and_the_neutral_body_are_told_apart_and_stay_so(tmp_path, stem, gender, name):
    """Their shape coefficients are others."""
    np.savez(tmp_path / f"{stem}.npz", **smpl_sized_tables())
    data = load_body_model(tmp_path / f"{stem}.npz")
    assert (data.gender, data.name, data.is_smpl) == (gender, name, name == "smpl")
    save_body_model(tmp_path / "copy.npz", data)
    copy = load_body_model(tmp_path / "copy.npz")
    assert (copy.gender, copy.name) == (gender, name)


def relative(vertices, joints, *, pose_dirs, **extra):
    tables = {
        "v_template": np.zeros((vertices, 3), np.float32),
        "shapedirs": np.zeros((vertices, 3, 1), np.float32),
        "posedirs": np.zeros((vertices, 3, pose_dirs), np.float16),
        "J_regressor": np.zeros((joints, vertices), np.float16),
        "weights": np.zeros((vertices, joints), np.float16),
        "kintree_table": np.zeros((2, joints), np.int64),
        "f": np.zeros((1, 3), np.int64),
    }
    return tables | extra


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("SMPL-X", lambda: relative(10475, 55, pose_dirs=486, joint2num=np.array({"Pelvis": 0}, object))),
        ("SMPL-H", lambda: relative(6890, 52, pose_dirs=459, hands_meanl=np.zeros(45))),
        ("MANO", lambda: relative(778, 16, pose_dirs=135, hands_components=np.zeros((45, 45)))),
        ("FLAME", lambda: relative(5023, 5, pose_dirs=36)),
        ("STAR", lambda: relative(6890, 24, pose_dirs=93)),
        ("SKEL", lambda: {"skin_template_v": np.zeros((6890, 3)), "skel_template_v": np.zeros((100, 3))}),
        ("MHR", lambda: {"corrective_blendshapes_lod1": np.zeros(3)}),
    ],
)
@pytest.mark.parametrize("ending", ["npz", "pkl"])
def test_other_body_models_are_told_by_name(tmp_path, name, tables, ending):
    path, content = tmp_path / f"model.{ending}", tables()
    if ending == "npz":
        np.savez_compressed(path, **content)
    else:
        path.write_bytes(pickle.dumps({k: v for k, v in content.items() if v.dtype != object}, protocol=2))
    with pytest.raises(
        UserError, match=rf"model\.{ending}: is {name}, which is not in the SMPL layout"
    ) as caught:
        load_body_model(path)
    assert "\n" not in str(caught.value)


def test_files_that_other_body_models_come_in_are_named(tmp_path):
    for content, words in (
        (b"Kaydara FBX Binary  ", "FBX file, as MHR"),
        (b"PK\x03\x04 data.pkl", "MHR and Anny"),
    ):
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(UserError, match=words):
            load_body_model(tmp_path / "model.pt")
    np.savez(tmp_path / "anny.npz", bones=np.zeros(3))
    with pytest.raises(UserError, match="is Anny"):
        load_body_model(tmp_path / "anny.npz")


def _without(key):
    return lambda tables: tables.pop(key)


def _with(key, value):
    return lambda tables: tables.update({key: value})


_LOOP = np.stack([np.r_[-1, 5, PARENTS[2:]], np.arange(24)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without("weights"), "it lacks weights"),
        (_with("v_template", np.zeros((60, 2))), r"v_template must be shaped \(any, 3\)"),
        (_with("J_regressor", np.zeros((24, 59))), r"J_regressor must be shaped \(24, 60\)"),
        (_with("posedirs", np.zeros((60, 3, 9))), r"posedirs must be shaped \(60, 3, 207\)"),
        (_with("v_template", np.full((60, 3), np.nan)), "v_template holds numbers that are not finite"),
        (_with("weights", np.full((60, 24), "x")), "weights does not hold numbers"),
        (_with("f", np.full((4, 3), 60)), "f names vertex 60, but there are 60"),
        (_with("f", np.zeros((4, 4), int)), "f must be integers"),
        (_with("kintree_table", _LOOP), "not a tree with parents before children"),
        (_with("kintree_table", np.zeros((2, 52), int)), "kintree_table must be integers"),
        (_with("vertex_colors", np.zeros((3, 3), np.uint8)), r"vertex_colors must be shaped \(60, 3\)"),
    ],
)
def test_files_that_are_not_a_body_say_why(tmp_path, spoil, message):
    tables = random_tables()
    spoil(tables)
    np.savez(tmp_path / "a.npz", **tables)
    with pytest.raises(UserError, match=rf"a\.npz: .*{message}"):
        load_body_model(tmp_path / "a.npz")


def test_unreadable_files_say_why(tmp_path):
    with pytest.raises(UserError, match=r"none\.pkl: no such body model file"):
        load_body_model(tmp_path / "none.pkl")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(UserError, match=r"a\.npz: not a readable npz"):
        load_body_model(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", v_template=np.array([{}], object))
    with pytest.raises(UserError, match=r"b\.npz: not a body in the SMPL layout"):
        load_body_model(tmp_path / "b.npz")


def test_a_body_that_cannot_be_written_leaves_nothing(tmp_path, smpl_pickle):
    data = load_body_model(smpl_pickle)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        save_body_model(tmp_path / "file" / "a.npz", data)


# The default body


@pytest.fixture(scope="module")
def default():
    return load_body_model()


def _mirror(data):
    tree = scipy.spatial.cKDTree(data.v_template)
    distance, mirror = tree.query(data.v_template * [-1.0, 1.0, 1.0])
    assert distance.max() < 1e-6
    return mirror


def test_the_default_body_is_small(default):
    assert len(default.v_template) <= 7000
    assert default.shape_dirs.shape[2] == 10
    assert DEFAULT_BODY.stat().st_size < 2e6
    assert (DEFAULT_BODY.parent / "LICENSE-default-body.txt").read_text().count("CC0") >= 2


def test_the_default_body_is_closed_and_faces_outward(default):
    edges = np.concatenate([default.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert {tuple(e) for e in edges} == {tuple(e) for e in edges[:, ::-1]}
    a, b, c = (default.v_template[default.faces[:, i]].astype(float) for i in range(3))
    volume = np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0
    assert 0.05 < volume < 0.10  # m^3: a person of 50-100 kg
    assert len(np.unique(default.faces)) == len(default.v_template)


def test_the_default_body_is_its_own_mirror_image(default):
    mirror = _mirror(default)
    flip = np.array([-1.0, 1.0, 1.0])
    swap = np.array(SMPL24.flip)
    np.testing.assert_allclose(default.shape_dirs[mirror] * flip[:, None], default.shape_dirs, atol=1e-6)
    np.testing.assert_allclose(default.weights[mirror][:, swap], default.weights, atol=1e-6)
    np.testing.assert_allclose(default.joint_regressor[swap][:, mirror], default.joint_regressor, atol=1e-6)
    for skeleton in (COCOPLUS19, H36M17):
        table = default.keypoint_regressors[skeleton.name]
        np.testing.assert_allclose(table[list(skeleton.flip)][:, mirror], table, atol=1e-6)


def test_weights_and_regressors_are_affine(default):
    np.testing.assert_allclose(default.weights.sum(axis=1), 1.0, atol=1e-5)
    assert default.weights.min() >= 0.0
    for table in (default.joint_regressor, *default.keypoint_regressors.values()):
        np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-5)
    for table in default.keypoint_regressors.values():
        assert table.min() >= 0.0


def test_the_default_body_stands_in_a_t_pose_left_to_plus_x(default):
    joints = dict(zip(SMPL24.joints, default.joint_regressor @ default.v_template, strict=True))
    np.testing.assert_allclose(joints["pelvis"], 0.0, atol=5e-3)
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        assert joints[f"left_{joint}"][0] > 0.05
    arm = joints["left_wrist"] - joints["left_shoulder"]
    assert arm[0] > 0.99 * np.linalg.norm(arm)
    leg = joints["left_ankle"] - joints["left_hip"]
    assert -leg[1] > 0.99 * np.linalg.norm(leg)
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05  # toes forward
    keypoints = dict(
        zip(COCOPLUS19.joints, default.keypoint_regressors["cocoplus19"] @ default.v_template, strict=True)
    )
    assert keypoints["nose"][2] > keypoints["left_ear"][2] + 0.05
    assert keypoints["left_eye"][0] > 0.02
    assert keypoints["head_top"][1] > default.v_template[:, 1].max() - 0.01
    assert joints["left_hip"][0] < keypoints["left_hip"][0] < joints["left_hip"][0] + 0.03


def test_the_default_body_has_the_stature_of_adults(default):
    generator = np.random.default_rng(0)
    shapes = np.einsum("vxs,ns->nvx", default.shape_dirs, generator.normal(size=(300, 10)))
    stature = np.ptp((default.v_template + shapes)[:, :, 1], axis=1)
    assert 1.6 < stature.mean() < 1.8
    assert 0.07 < stature.std() < 0.13


def test_joints_lie_inside_the_body_whatever_its_shape(default):
    """The winding number (solid angle over 4 pi) of the surface about a point inside is 1, outside 0."""
    generator = np.random.default_rng(1)
    for shape in [np.zeros(10), *generator.normal(size=(4, 10))]:
        vertices = default.v_template + default.shape_dirs @ shape
        points = np.concatenate(
            [default.joint_regressor @ vertices, default.keypoint_regressors["cocoplus19"][:13] @ vertices]
        )
        a, b, c = (vertices[default.faces[:, i]][None] - points[:, None] for i in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
        numerator = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
        dots = [np.einsum("pfi,pfi->pf", u, v) for u, v in ((a, b), (b, c), (c, a))]
        angle = 2.0 * np.arctan2(numerator, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb)
        np.testing.assert_allclose(angle.sum(axis=1) / (4.0 * np.pi), 1.0, atol=0.02)


def test_the_default_body_is_dressed(default):
    assert default.vertex_colors.shape == default.v_template.shape
    present = set(np.unique(default.vertex_regions))
    assert present == {int(region) for region in Region}
    heights = {region: default.v_template[default.vertex_regions == region, 1].mean() for region in Region}
    assert heights[Region.SHOES] < heights[Region.TROUSERS] < heights[Region.SHIRT] < heights[Region.HAIR]


def test_the_mean_pose_stands_upright_with_lowered_arms(default):
    np.testing.assert_allclose(default.mean_pose[:3], [np.pi, 0.0, 0.0], atol=1e-6)
    left, right = default.mean_pose.reshape(24, 3)[[16, 17]]
    assert left[2] < -0.8  # the arm is turned down about the forward axis
    np.testing.assert_allclose(right, left * [1.0, -1.0, -1.0], atol=1e-6)
