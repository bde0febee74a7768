"""What a conversion costs a deep network, layer by layer, and what tuning wins back.

MobileNetV1 of a quarter of the width has 28 layers with weights. It is trained on CIFAR-10 without
any module of ours. Accuracy and agreement are those of the 10,000 test images, errors of layers
those of some training images, as ``convert`` tells them.
"""

import torch
from torch.nn import functional as F

from gen.convert.accuracy import costs, layer_errors
from gen.convert.conversion import to_quantised
from gen.convert.images import Pixels
from gen.convert.tuning import Tuning, tuned
from gen.data.datasets import load
from tests.mlperf import mobilenet

from . import keys
from .benchmark import Benchmark

DATASET = "cifar-10"
EPOCHS, BATCH, RATE, DECAY = 5, 128, 4e-3, 1e-2
CALIBRATION, JUDGED, TUNED = 1_000, 100, 20_000
OPTIONS = {"default": {}, "63 levels": {"levels": 63}}

_SHIFT, _AT_ONCE = 4, 500


def _augmented(x):
    """Images ``(N, C, H, W)``, moved by up to :data:`_SHIFT`; half of them are mirrored."""
    height, width = x.shape[2:]
    down, right = torch.randint(2 * _SHIFT + 1, (2,)).tolist()
    x = F.pad(x, [_SHIFT] * 4)[:, :, down:down + height, right:right + width]
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x, x.flip(3))


def _trained(data):
    """The module without its softmax, trained."""
    torch.manual_seed(0)
    # Depthwise convolutions of the processor are fast in this order alone.
    module = mobilenet(10, stem=1)[:-1].to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    optimiser = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY)
    steps = [part for _ in range(EPOCHS) for part in torch.randperm(len(x)).split(BATCH)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, len(steps))
    for chosen in steps:
        batch = _augmented(x[chosen] / data.pixel_max)
        optimiser.zero_grad()
        F.cross_entropy(module(batch.to(memory_format=torch.channels_last)), y[chosen]).backward()
        optimiser.step()
        schedule.step()
    return module.eval()


@torch.no_grad()
def _scores(module, images):
    return torch.cat([module(torch.from_numpy(images[start:start + _AT_ONCE]))
                      for start in range(0, len(images), _AT_ONCE)])


def measure(case):
    """``float``, the module's accuracy; and for each of :data:`OPTIONS`, and for ``tuned``, of the
    defaults, ``accuracy``, ``agreement`` and the ``errors`` of the layers."""
    torch.set_num_threads(1)  # several add in another order
    data = load(DATASET)
    images = Pixels(data.train_images, data.pixel_max)
    module = _trained(data)
    scores = _scores(module, Pixels(data.test_images, data.pixel_max))

    def told(quantised, lowered):
        network = quantised.eval().to_network("mobilenet", pixel_max=data.pixel_max)
        (found,) = costs(lowered, network, quantised.logit_step, data.test_images, scores,
                         data.test_labels)
        return {"accuracy": found.after, "agreement": found.agreement,
                "errors": layer_errors(module, lowered, quantised, images[:JUDGED])}

    result = {"float": float((scores.argmax(1).numpy() == data.test_labels).mean())}
    for name, options in OPTIONS.items():
        quantised, lowered, _ = to_quantised(module, images[:CALIBRATION], **options)
        result[name] = told(quantised, lowered)
        if not options:
            tuned(quantised, module, lowered, images[:TUNED], data.train_labels[:TUNED],
                  Tuning(progress=False))
            result["tuned"] = told(quantised, lowered)
    return result


BENCHMARK = Benchmark("mobilenet", [{"dataset": DATASET}], measure,
                      (*keys.PLAN, "gen/convert/**/*.py", "tests/mlperf.py"))
