import pytest

from hw.config import ArrayConfig, MemoryImage
from hw.layers import CoreConfig, PoolConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle


def source():
    return SourceConfig(MapConfig(5, 4, 4, 3, 2), -1, (3, 3), (1, 1), (1, 1))


def core(*sources, **kwargs):
    taps = sum(s.taps for s in sources)
    return CoreConfig(**{
        "name": "c", "port": "l0_c", "sources": sources, "lanes": 4, "channels": 6,
        "weight_bits": 4, "membrane_bits": 12, "masks": ((1 << taps) - 1,) * 2,
        "schedule": settle([s.map for s in sources], 3), **kwargs})


def test_rows_exist_only_for_connected_taps():
    masked = core(source(), masks=(0b11, 1 << 26))
    assert masked.weight_rows == 6
    assert masked.row_bases[0][:3] == (0, 2, None)
    assert masked.row_bases[1][25:] == (None, 4)


def test_digest_depends_on_every_shape():
    first = ArrayConfig(source().map, (core(source()),))
    second = ArrayConfig(source().map, (core(source(), lanes=3),))
    assert first.digest() == ArrayConfig(source().map, (core(source()),)).digest()
    assert first.digest() != second.digest()


def test_rows_must_fit_their_memory():
    with pytest.raises(ValueError, match=r"^row 1 must have 4 bits, not 0x10$"):
        MemoryImage(4, (15, 16))


def test_what_a_layer_sends():
    """Counts of 6 channels in beats of 4 lanes, a pooling of them, and potentials."""
    inner = core(source(), schedule=settle([source().map], 9))
    assert not inner.sends_logits
    assert inner.value_bits == 4
    pool = PoolConfig("p", "l1_p", SourceConfig(inner.out, 0, (2, 2), (2, 2), (0, 0)), "sum")
    assert not pool.sends_logits
    for layer in (inner, pool):
        assert (layer.out_rows, layer.beats, layer.beat_bits) == (
            layer.out.height, layer.out.beats, layer.out.beat_bits)
    whole = SourceConfig(pool.out, 1, (2, 2), (1, 1), (0, 0))
    readout = core(whole, masks=(15, 15), schedule=settle([whole.map], None))
    assert readout.sends_logits
    assert readout.out is None
    assert (readout.out_rows, readout.beats, readout.beat_bits) == (1, 2, 4 * 12)
