"""The pictures in the pages are what the product draws."""

from __future__ import annotations

import pytest
from pictures import IMAGES, pictures


@pytest.mark.parametrize("name", ["shop.svg", "shop-run.svg"])
def test_a_picture_is_what_is_drawn_now(name: str) -> None:
    drawn = pictures()
    assert (IMAGES / name).read_text(encoding="utf-8") == drawn[name], "make pictures"
    assert sorted(path.name for path in IMAGES.iterdir()) == sorted(drawn)
