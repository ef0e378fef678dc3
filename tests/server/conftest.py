"""The network that the tests of the server share."""

from dataclasses import replace

import pytest

from tests.test_inference import segmenter_of, tiny
from unipan.inference import Segmenter
from unipan.presets import scenes


@pytest.fixture(scope="session")
def maker() -> Segmenter:
    """Untrained, with masks; it finds a few things in anything."""
    config = tiny(scenes())
    return segmenter_of(replace(config, detection=replace(config.detection, max_detections=4)))
