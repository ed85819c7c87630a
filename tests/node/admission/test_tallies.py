from __future__ import annotations

from node.admission.tallies import Answer, Brought, Sender, Tallies

WHO = Sender("MODALITY", "10.0.0.1")


def test_the_end_tells_what_came_of_each_study_once() -> None:
    ended: list[tuple[Sender, dict[str, Brought]]] = []
    tallies = Tallies(on_end=lambda sender, brought: ended.append((sender, dict(brought))))
    for association in ("one", "two"):
        tallies.answered(association, WHO, Answer("CT", 0, "1.1"))
    tallies.answered("one", WHO, Answer("CT", 0, "1.1", held=True))
    tallies.answered("one", WHO, Answer("MR", 0xA700, "1.2"))
    tallies.answered("one", WHO, Answer("MR", 0xC000))  # of a study that nobody knows
    for _ in range(2):
        tallies.end("one")
    ((sender, brought),) = ended
    assert sender == WHO
    assert brought == {
        "1.1": Brought(new={"CT": 1}, held={"CT": 1}),  # type: ignore[arg-type]
        "1.2": Brought(refused={"MR": 1}, statuses={0xA700: 1}),  # type: ignore[arg-type]
    }


def test_an_association_that_brought_nothing_is_not_told() -> None:
    ended: list[Sender] = []
    tallies = Tallies(on_end=lambda sender, _brought: ended.append(sender))
    tallies.answered("one", WHO, Answer("CT", 0x0124))
    tallies.end("one")
    tallies.end("echo only")
    assert ended == []
