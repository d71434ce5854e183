"""What systems are judged by: names of metrics, see docs/evaluation.md; without a protocol on their own joints."""

# Found 2D joints. The last is what HRNet's table of MPII calls Mean@0.1.
KEYPOINTS = ("keypoint_loss", "pck0.2torso", "pckh0.5", "pckh0.1", "pckh0.11")

# Lifted joints of Human3.6M.
LIFTED = ("mpjpe@h36m17", "pa_mpjpe@h36m17", "n_mpjpe@h36m17")

# Joints in crops of pictures, with their depth. `bones4000` is pose-hg-3d's own protocol.
LIFTED_IN_PICTURES = (
    *KEYPOINTS,
    *("mpjpe@lsp14", "pa_mpjpe@lsp14", "n_mpjpe@lsp14", "mpjpe@bones4000"),
    *("limb_asymmetry@body", "implausible_bones@body"),
)

# 3D joints in crops of pictures, by LSP's joints and by Human3.6M's.
JOINTS_OF_PICTURES = (
    *("keypoint_loss@lsp14", "pck0.2torso@lsp14", "pckh0.5@lsp14"),
    *("mpjpe@lsp14", "pa_mpjpe@lsp14", "n_mpjpe@lsp14", *LIFTED),
)

# Bodies in crops of pictures.
BODIES = (
    *("keypoint_loss@cocoplus19", "pck0.2torso@lsp14", "pckh0.5@lsp14", "pckh0.1@lsp14"),
    *("silhouette_iou@picture", "silhouette_accuracy@picture", "silhouette_f1@picture"),
    *("mesh_loss@crop", "silhouette_iou@crop", "silhouette_accuracy@crop", "silhouette_f1@crop"),
    *("mpjpe@lsp14", "pa_mpjpe@lsp14", "pve@body"),
    *("angles_outside_limits@mocap", "nearest_mocap_pose@mocap", "limb_asymmetry@body"),
    *("shape_beyond_3@body", "mean_abs_shape@body"),
)

# Joints of predicted and true bodies by one regressor, as on 3DPW.
REGRESSED = ("body_mpjpe@3dpw14", "body_pa_mpjpe@3dpw14")

# What the code of the ETH course on human pose and shape measures.
COURSE_BODIES = ("course_mpjpe@spin49", "course_pa_mpjpe@spin49", "course_coordinates@spin49")
