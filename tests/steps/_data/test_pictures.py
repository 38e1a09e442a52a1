"""Stored pictures become small ones, and rubbish none."""

import io

import pyarrow as pa
from PIL import Image

from colchis_steps._data.pictures import small_picture
from colchis_steps._data.validating.looking import look
from colchis_steps._data.validating.measuring import PICTURES, measured
from colchis_steps._formats.data import Column


def test_a_stored_picture_becomes_a_small_one_of_few_colours_and_rubbish_none() -> None:
    picture = Image.new("RGB", (200, 100), "#ff0000")
    for form in ("PNG", "JPEG", "WEBP"):
        sink = io.BytesIO()
        picture.save(sink, form)
        found = small_picture(sink.getvalue())
        assert found is not None
        assert (len(found.rows), len(found.rows[0])) == (16, 32)
        assert found.palette[found.rows[0][0]][:3] in {"#ff", "#fe", "#fd", "#fc"}
        assert small_picture(sink.getvalue()[:40]) is None
    assert small_picture(b"") is None
    assert small_picture(b"GIF89a") is None


def test_a_profile_keeps_the_first_pictures_of_a_column() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), "#00ff00").save(sink, "PNG")
    column = Column("tile", "binary", media="image/png")
    rows = measured(column, 0)
    for values in ([None, sink.getvalue(), b"rubbish"], [sink.getvalue()] * 40):
        rows.add(look(column, pa.array(values, pa.binary())))
    kept = rows.profile().pictures
    assert len(kept) == PICTURES
    assert all(one.palette[one.rows[0][0]] == "#00ff00" for one in kept)
