"""Loading another network into a device: in the model of the device, over lines with errors, and on
the Verilated board."""

from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import pytest

from boards import find
from firmware.image import Memory, pack, unpack
from gen.build.builder import build, build_in_place
from gen.build.design import load as load_design
from gen.build.planning import design_for, design_in_place
from gen.errors import BuildError, FitError
from host.device import Device
from host.errors import HostError, LinkError, Lost, Refused
from host.functions import mapped
from host.link import SerialLink
from host.load import image_words
from host.mailbox import Mailbox
from host.manifest import load
from host.pcie import PcieLink
from host.transport import Transport
from host.virtual import virtual_board
from hw.contents import shapes
from hw.device import DeviceModel, register_map
from hw.link import Model
from hw.loader import LoaderModel
from hw.mailbox import MailboxModel
from tests.networks import linear, wide

from .conftest import ModelTransport
from .test_device import Vandal, driver

FIRST, OTHER = linear(hidden=20, seed=1), linear(hidden=20, seed=2)


LINKS = {"uart": "arty-a7", "pcie": "nitefury"}


def built(folder, link, first=FIRST, other=OTHER, **options):
    """A build whose memories may be loaded, and one of another network for the same device."""
    build(first, board=LINKS[link], link=link, out=folder / "first", reloadable=True,
          synthesise=False, **options)
    build_in_place(other, folder / "first", out=folder / "other")
    return folder / "first", folder / "other"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return built(tmp_path_factory.mktemp("load"), "uart")


@contextmanager
def opened(line, folder):
    """The driver of a virtual board."""
    manifest = load(folder)
    if manifest.baud is None:
        with closing(mapped(line, "virtual-pcie")) as function:
            yield Device(PcieLink(function, manifest, patience=30), manifest)
        return
    with Transport(line, manifest.baud) as transport:
        frames = SerialLink(transport, patience=30)
        yield Device(Mailbox(frames, manifest, patience=30), manifest)


class LoadableTransport(ModelTransport):
    """The line to a device in integers whose memories may be loaded. It computes what the network
    does that they hold. A reset leaves the memories as they are."""

    def __init__(self, **options):
        self.design = design_for(FIRST, find("arty-a7"), reloadable=True)
        image, config = self.design.image, self.design.config
        self.loader = LoaderModel(config, register_map(config), holds=words(FIRST.digest), rows=[
            image[shape.name].rows for shape in shapes(config)])
        super().__init__(FIRST, **options)

    def reset(self, network=None):
        config = self.design.config
        device = DeviceModel(config, self._compute, digest=self.design.digest,
                             clock_hz=100_000_000)
        self.target = MailboxModel(device, self.loader)
        self.link = Model(device.registers, self.target)
        self.layout = config.input

    def _compute(self, beats, timesteps):
        (self.network,) = [network for network in (FIRST, OTHER)
                           if words(network.digest) == self.loader.holds]
        design = design_in_place(self.network, self.design)
        assert self.loader.rows == [list(design.image[shape.name].rows)
                                    for shape in shapes(design.config)]
        counts = np.array([[beat >> self.layout.bits * k & (1 << self.layout.bits) - 1
                            for k in range(self.layout.word)] for beat in beats])
        counts = counts.reshape(1, -1)[:, :self.layout.channels].reshape(1, *FIRST.input_shape)
        return self.network.run(counts).logits[0].tolist(), 0, 1234


def words(digest):
    octets = bytes.fromhex(digest)
    return [int.from_bytes(octets[k:k + 4], "little") for k in range(0, 32, 4)]


@pytest.mark.parametrize("rate", [0, 0.002])
def test_another_network(folders, images, rate):
    """Over a line with errors, too; and a driver of the one network does not take the other."""
    (first, other), raw = folders, images(FIRST, 5)
    transport = LoadableTransport(spoil=Vandal(0, rate))
    ours, theirs = (driver(transport, load(folder), patience=0.005, attempts=40)
                    for folder in folders)
    assert np.array_equal(ours.infer(raw).logits, FIRST.predict(raw))
    with pytest.raises(HostError, match=r"^model: the device holds another network \(digest .*; "
                                        r"load the memory.img beside .*/other/manifest.json"):
        theirs.infer(raw)
    assert str(theirs.load(other / "memory.img")) == "intact"
    assert np.array_equal(theirs.infer(raw).logits, OTHER.predict(raw))
    fresh = driver(transport, load(first), patience=0.005, attempts=40)
    with pytest.raises(HostError, match="the device holds another network"):
        fresh.infer(raw)
    assert str(fresh.load(first / "memory.img")) == "intact"
    assert np.array_equal(fresh.infer(raw).logits, FIRST.predict(raw))
    assert (theirs.retries > 0) == (rate > 0)


def test_a_load_that_is_cut_off_leaves_no_half_of_a_network(folders, images):
    (first, other), raw = folders, images(FIRST, 3)
    transport = LoadableTransport()
    device = driver(transport, load(other))

    def cut(frames):
        for k, frame in enumerate(frames):
            transport.cut = k == 2
            yield frame

    with pytest.raises(LinkError, match=r"^model: no answer any more;"):
        device.load(other / "memory.img", progress=cut)
    transport.cut = False
    transport.reset()
    for folder in folders:
        again = driver(transport, load(folder))
        assert again.status()["memories"] == "not completely loaded"
        with pytest.raises(HostError, match="the memories of the device are not completely loaded"):
            again.infer(raw)
    with pytest.raises(HostError, match="because its memories are not what they should be"):
        again.link.take_over()
        list(again.link.run([[0] * register_map(transport.design.config).input_words], 1))
    again = driver(transport, load(first))
    again.load(first / "memory.img")
    assert np.array_equal(again.infer(raw).logits, FIRST.predict(raw))


def test_a_flipped_bit_is_named_and_repaired(folders, images):
    (first, _), raw = folders, images(FIRST, 3)
    transport = LoadableTransport()
    device = driver(transport, load(first))
    device.infer(raw)
    transport.loader.rows[2][1] ^= 4
    transport.loader.scrub()
    with pytest.raises(HostError, match=r"damaged: l1_out.weights has changed; load the mem"):
        device.infer(raw)
    assert device.status()["memories"] == "damaged: l1_out.weights has changed"
    with pytest.raises(HostError, match=r"the memories of the device are damaged: l1_out.wei"):
        driver(transport, load(first)).infer(raw)
    device = driver(transport, load(first))
    device.load(first / "memory.img")
    assert np.array_equal(device.infer(raw).logits, FIRST.predict(raw))


def test_a_load_that_arrives_wrong_is_refused(folders):
    first, _ = folders
    transport = LoadableTransport()
    device = driver(transport, load(first))
    store = transport.loader._store
    transport.loader._store = lambda offset, value: store(offset, value ^ (offset == 7))
    with pytest.raises(HostError, match=r"^model: l0_fc1.weights is not what was loaded; load it"):
        device.load(first / "memory.img")
    assert not transport.loader.intact


def damaged(path, **changes):
    digest, memories = unpack(path.read_bytes())
    return pack([replace(memory, **changes.get(memory.name, {})) for memory in memories],
                digest=digest)


@pytest.mark.parametrize("make, message", [
    (lambda path: b"", "an image must have at least"),
    (lambda path: path.read_bytes()[:-1], "the image is damaged: its CRC does not match"),
    (lambda path: pack(unpack(path.read_bytes())[1], digest=bytes(32)), "is of another device"),
    (lambda path: pack(unpack(path.read_bytes())[1][:-1],
                       digest=unpack(path.read_bytes())[0]), "is of another device"),
    (lambda path: pack([*unpack(path.read_bytes())[1], Memory("more", 1, (1,))],
                       digest=unpack(path.read_bytes())[0]), "is of another device"),
    (lambda path: damaged(path, holds={"rows": (1, 2)}), "holds must have 1 rows of 256 bits"),
    (lambda path: damaged(path, holds={"rows": (1,)}), "is of another network than"),
    (lambda path: damaged(path, **{"l1_out.weights": {"rows": (0,)}}),
     "l1_out.weights must have"),
], ids=range(8))
def test_what_is_no_image_of_the_device(folders, tmp_path, make, message):
    first, _ = folders
    (tmp_path / "memory.img").write_bytes(make(first / "memory.img"))
    with pytest.raises(HostError, match=message):
        image_words(tmp_path / "memory.img", load(first))


def test_builds_whose_memories_are_fixed(builds, tmp_path):
    folder = builds("linear")
    with pytest.raises(HostError, match="build it with --reloadable"):
        image_words(folder / "memory.img", load(folder))
    with pytest.raises(FitError, match="was built without --reloadable"):
        build_in_place(linear(), folder, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_networks_of_another_shape(folders, tmp_path):
    first, _ = folders
    with pytest.raises(FitError, match="is not of the shape of"):
        build_in_place(wide(), first, out=tmp_path / "other")
    with pytest.raises(FitError, match=r"is not of the shape of .*: fc1 differs;"):
        build_in_place(linear(hidden=21, seed=2), first, out=tmp_path / "other")
    layer, out = OTHER.layers
    heavy = replace(layer, initial=layer.initial + (1 << 20))
    with pytest.raises(FitError, match=r"^fc1: needs membranes of .* the device has"):
        build_in_place(replace(OTHER, layers=(heavy, out)), first, out=tmp_path / "other")
    with pytest.raises(BuildError, match="has the build that the bitstream belongs to"):
        build_in_place(OTHER, first, out=first)


def test_an_image_of_the_same_device_is_a_design(folders):
    ours, theirs = map(load_design, folders)
    assert ours.digest == theirs.digest
    assert ours.config == theirs.config
    assert theirs.network.digest == OTHER.digest


@pytest.mark.parametrize("link", LINKS)
def test_the_verilated_board(link, tmp_path, images):
    """One board, which both networks run on in turn; a host that goes away in the middle of a load
    leaves it refusing samples."""
    first, other = built(tmp_path, link)
    raw = images(FIRST, 6)
    with virtual_board(first) as path:
        def session(folder, action):
            with opened(path, folder) as device:
                return action(device)

        def answers(device):
            return device.infer(raw).logits

        assert np.array_equal(session(first, answers), FIRST.predict(raw))
        for folder, network in ((other, OTHER), (first, FIRST), (other, OTHER)):
            session(folder, lambda device, folder=folder: device.load(folder / "memory.img"))
            assert np.array_equal(session(folder, answers), network.predict(raw))

        def goes(device):
            def frames(all_):
                yield from all_[:3]
                device.status()  # they have arrived
                raise KeyboardInterrupt

            device.load(first / "memory.img", progress=frames)

        with pytest.raises(KeyboardInterrupt):
            session(first, goes)
        for folder in (first, other):
            with pytest.raises(HostError, match="not completely loaded"):
                session(folder, answers)

        def insists(device):
            device.link.take_over()
            return list(device.link.run([[0] * device.manifest.registers["input_words"]], 1))

        with pytest.raises(Refused, match="its memories are not what they should be; load them"):
            session(first, insists)
        session(first, lambda device: device.load(first / "memory.img"))
        assert np.array_equal(session(first, answers), FIRST.predict(raw))
        status = session(first, Device.status)
        assert (status["memories"], status["holds"]) == ("intact", FIRST.digest)


def test_sessions_on_pcie(tmp_path, images, monkeypatch):
    """A load does not end samples that are under way, is not mixed with another driver's, and after
    an interrupt the driver begins anew."""
    folder, _ = built(tmp_path, "pcie")
    raw = images(FIRST, 3)
    with virtual_board(folder) as line, opened(line, folder) as device:
        link, where = device.link, device.manifest.registers
        link.take_over()
        with link.flight(1) as flight:
            flight.send([0] * where["input_words"])
            with pytest.raises(HostError, match=r"samples are under way; end the sequence"):
                device.load(folder / "memory.img")
            assert flight.receive()
        assert np.array_equal(device.infer(raw).logits, FIRST.predict(raw))

        link.write(where["load"], [1], "to be loaded")
        other = PcieLink(link.function, device.manifest, patience=30)
        other.take_over()
        with pytest.raises(Lost, match=r"was taken over by another program since this one opened"):
            link.write(where["block"], [0, 0], "a block")

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(link, "set_ring", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
            link._loading = 1
            patch.setattr(link, "_await_loaded", lambda *args: None)
            link.write(where["block"], [0, 0], "a block")
        device.load(folder / "memory.img")
        assert np.array_equal(device.infer(raw).logits, FIRST.predict(raw))


@pytest.fixture(scope="module", params=LINKS)
def tested(tmp_path_factory, request):
    """A build that tests itself with two samples, and may be loaded; and another network for it."""
    rng = np.random.default_rng(0)
    samples = rng.integers(0, FIRST.pixel_max + 1, (2, *FIRST.input_shape))
    return built(tmp_path_factory.mktemp("tested"), request.param, replace(FIRST, samples=samples),
                 replace(OTHER, samples=samples), selftests=2)


def test_a_device_tests_itself_after_each_load(tested, images):
    first, other = tested
    raw = images(FIRST, 3)
    with virtual_board(first) as path:
        for folder, network in ((first, FIRST), (other, OTHER)):
            with opened(path, folder) as device:
                if folder == other:
                    device.load(other / "memory.img")
                assert np.array_equal(device.infer(raw).logits, network.predict(raw))
                assert device.status()["selftest"] == "passed"


def test_results_of_another_network_make_it_fail(tested, images, tmp_path):
    """A planted fault: the image of one network with the results of the other."""
    first, other = tested
    digest, memories = unpack((other / "memory.img").read_bytes())
    results = next(memory for memory in unpack((first / "memory.img").read_bytes())[1]
                   if memory.name == "selftest.results")
    (tmp_path / "memory.img").write_bytes(pack(
        [results if memory.name == results.name else memory for memory in memories],
        digest=digest))
    with virtual_board(first) as path, opened(path, other) as device:
        with pytest.raises(HostError, match=r"the device fails its self-test, so its answers wou"):
            device.load(tmp_path / "memory.img")
        with pytest.raises(HostError, match=r"the device fails its self-test, so its answers wou"):
            device.infer(images(FIRST, 1))
        assert device.status()["selftest"] == "failed"
        device.load(other / "memory.img")
        assert np.array_equal(device.infer(images(FIRST, 1)).logits,
                              OTHER.predict(images(FIRST, 1)))


def test_too_few_images_for_a_test(tmp_path):
    with pytest.raises(FitError, match=r"carries 0 images, and a self-test of 3 samples needs 3"):
        build(FIRST, board="arty-a7", out=tmp_path / "a", selftests=3, synthesise=False)
