"""Records become augmented batches of fixed shape: `open` returns a `Source` for either kind of input."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hpe.fields import Needs
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.source import Source
from hpe.pipeline.spec import DatasetSpec, in_full, parse_specs

__all__ = ["CONFIGS", "DatasetSpec", "PipelineConfig", "PosePipelineConfig", "Source", "open"]

# The settings of every kind of input.
CONFIGS = {"image": PipelineConfig, "joints2d": PosePipelineConfig}


def open(  # as in gzip.open: the module's name says what is opened
    input_kind: str,
    data_dir: str | os.PathLike,
    specs: Sequence[str | DatasetSpec],
    config: PipelineConfig | PosePipelineConfig,
    *,
    needs: Needs,
    verify: bool = False,
) -> Source:
    """Finds datasets and returns them as a source of batches.

    Args:
        input_kind: `image`, crops of pictures, or `joints2d`, 2D joints in memory.
        data_dir: folder of the datasets.
        specs: what is read, as `DatasetSpec`s or written like them; a list that was cut at its commas is fine.
        config: of the type that `CONFIGS` has for the kind of input.
        needs: what a system reads of a batch; nothing else is parsed, decoded or moved.
        verify: also compares every byte of the files with its checksum.

    Raises:
        UserError: a dataset is absent or damaged, or lacks what the configuration asks for.
        ValueError: there is no such kind of input.
    """
    specs = in_full(parse_specs(specs), data_dir)
    names = [spec.name for spec in specs]
    # What is not asked for need not be imported: poses decode no images.
    if input_kind == "image":
        from hpe.pipeline.image_source import ImageSource
        from hpe.records.reading import find_shards

        return ImageSource(find_shards(data_dir, names, verify=verify), config, needs, specs)
    if input_kind == "joints2d":
        from hpe.pipeline.poses import PoseSource

        return PoseSource(data_dir, specs, config, verify=verify)
    raise ValueError(f"input_kind must be one of {', '.join(CONFIGS)}. Received: input_kind={input_kind}")
