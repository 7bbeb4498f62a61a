"""Reading numbers from logits, and metrics of sequences, against plain Python."""

import itertools

import pytest
import torch

from stn_lightning.tasks import Coverage, SequenceErrors
from stn_lightning.tasks._numbers import as_text, read_numbers

NULL = 3


def brute_force(logits):
    """The best of every number that there is."""
    probability = torch.tensor(logits).double().softmax(-1)
    length = len(logits)
    numbers = [
        (*digits, *[NULL] * (length - n)) for n in range(length + 1) for digits in itertools.product(range(NULL), repeat=n)
    ]
    scores = {number: float(torch.stack([probability[i, c] for i, c in enumerate(number)]).prod()) for number in numbers}
    best = max(scores, key=scores.__getitem__)
    return list(best), scores[best]


def test_most_probable_number_is_read():
    torch.manual_seed(0)
    logits = 3 * torch.randn(200, 4, NULL + 1)
    numbers, confidence = read_numbers(logits)
    for row, number, p in zip(logits.tolist(), numbers.tolist(), confidence.tolist(), strict=True):
        expected, probability = brute_force(row)
        assert number == expected
        assert p == pytest.approx(probability, rel=1e-5)


def test_a_digit_behind_a_null_is_no_number():
    logits = torch.zeros(1, 3, NULL + 1)
    logits[0, 0, 1], logits[0, 1, NULL], logits[0, 2, 2] = 9.0, 5.0, 4.0
    assert read_numbers(logits)[0].tolist() == [[1, NULL, NULL]]
    logits[0, 2, 2] = 6.0
    assert read_numbers(logits)[0].tolist()[0][1] != NULL


def test_half_precision_logits_are_read():
    logits = torch.randn(5, 4, NULL + 1).bfloat16()
    numbers, confidence = read_numbers(logits)
    assert confidence.dtype == torch.float32
    assert torch.equal(numbers, read_numbers(logits.float())[0])


def test_text_of_numbers():
    assert as_text(torch.tensor([[1, 0, 2], [2, NULL, NULL], [NULL, NULL, NULL]]), NULL) == ["102", "2", ""]


PREDICTED = [[1, 2, NULL], [1, NULL, NULL], [0, 0, 0], [2, 1, NULL], [1, 1, 1]]
TARGET = [[1, 2, NULL], [1, 2, NULL], [0, 0, 1], [2, NULL, NULL], [1, 1, 1]]


def test_errors_by_position_and_length():
    metric = SequenceErrors(3, NULL)
    for start in (0, 2):
        metric.update(torch.tensor(PREDICTED[start : start + 2]), torch.tensor(TARGET[start : start + 2]))
    metric.update(torch.tensor(PREDICTED[4:]), torch.tensor(TARGET[4:]))
    errors = {name: float(value) for name, value in metric.compute().items()}
    assert errors == pytest.approx(
        {
            "error": 3 / 5,
            "error_positions": 3 / 15,
            "error_position_1": 0,
            "error_position_2": 2 / 5,
            "error_position_3": 1 / 5,
            "error_length_1": 1,
            "error_length_2": 1 / 2,
            "error_length_3": 1 / 2,
        }
    )


def test_lengths_that_were_not_seen_have_no_error():
    metric = SequenceErrors(5, NULL)
    metric.update(torch.tensor([[1, NULL, NULL, NULL, NULL]]), torch.tensor([[1, NULL, NULL, NULL, NULL]]))
    assert [name for name in metric.compute() if "length" in name] == ["error_length_1"]


def coverage_in_words(confidence, right, accuracy):
    """Over every threshold."""
    best = 0
    for threshold in set(confidence):
        kept = [r for c, r in zip(confidence, right, strict=True) if c >= threshold]
        if sum(kept) >= accuracy * len(kept):
            best = max(best, len(kept))
    return best / len(right)


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98, 1.0])
@pytest.mark.parametrize("levels", [3, 1000])
def test_coverage_over_every_threshold(accuracy, levels):
    """With 3 levels most confidences are equal: none of them can be kept without the others."""
    generator = torch.Generator().manual_seed(levels)
    for _ in range(20):
        confidence = torch.randint(1, levels, (120,), generator=generator) / levels
        right = torch.rand(120, generator=generator) < confidence.clamp(min=0.6) + 0.3
        metric = Coverage(accuracy)
        for part in (slice(0, 50), slice(50, 120)):
            metric.update(confidence[part], right[part])
        assert float(metric.compute()) == pytest.approx(coverage_in_words(confidence.tolist(), right.tolist(), accuracy))


@pytest.mark.parametrize(("right", "coverage"), [([True] * 4, 1.0), ([False] * 4, 0.0)])
def test_coverage_at_the_ends(right, coverage):
    metric = Coverage()
    metric.update(torch.rand(4), torch.tensor(right))
    assert float(metric.compute()) == coverage


def test_accuracy_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"accuracy in \(0, 1\], got 98"):
        Coverage(98)


def test_coverage_of_nothing_is_no_number():
    assert torch.isnan(Coverage().compute())
