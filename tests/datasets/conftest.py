"""Fixtures that write tiny datasets in their public layouts."""

import pytest

from tests import dataset_folders


@pytest.fixture
def write_image():
    """Function of path, height and width."""
    return dataset_folders.write_image


@pytest.fixture
def write_mask():
    """Function of path, height and width: a UP segmentation with a margin of background."""
    return dataset_folders.write_mask


@pytest.fixture
def lsp_folder(tmp_path):
    """See `tests.dataset_folders.write_lsp`."""
    return dataset_folders.write_lsp(tmp_path)


@pytest.fixture
def lsp_extended_folder(tmp_path):
    """See `tests.dataset_folders.write_lsp_extended`."""
    return dataset_folders.write_lsp_extended(tmp_path)
