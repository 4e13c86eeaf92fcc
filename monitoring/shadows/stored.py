"""What of the book survives a restart, and its bytes.

Law: restore(store(b)) goes on exactly as b would; of a window of another length what was counted is dropped.
"""

from collections import Counter

import msgspec

from monitoring.shadows.book import Book, Track, span_of
from monitoring.shadows.count import Worst
from monitoring.shadows.room import Answer, Rival, Room, Unpaired
from monitoring.vectors import StoredRing, pack_ring, unpack_ring
from service.featurelog.record import Schema


class StoredRoom(msgspec.Struct, frozen=True, array_like=True):
    writer: str
    epoch: int
    last_us: int
    since_shadow: int
    size: int
    answers: list[Answer]


class StoredTrack(msgspec.Struct, frozen=True, array_like=True):
    rival: tuple[str, str, str, str, str]
    ring: StoredRing
    last_minute: int
    worst: dict[int, list[Worst]]


class StoredBook(msgspec.Struct, frozen=True):
    """The book as it is written."""

    rooms: list[StoredRoom]
    tracks: list[StoredTrack]
    schemas: list[Schema]
    unpaired: list[tuple[str, str, str, int]]
    refused: int
    forgotten: int


def store(book: Book) -> StoredBook:
    """The book as a value to be written."""
    return StoredBook(
        rooms=[
            StoredRoom(writer, room.epoch, room.last_us, room.since_shadow, room.size, list(room.answers.values()))
            for writer, room in sorted(book.rooms.items())
        ],
        tracks=[
            StoredTrack(rival, pack_ring(track.ring), track.last_minute, dict(track.worst))
            for rival, track in sorted(book.tracks.items(), key=lambda item: item[0])
        ],
        schemas=[book.schemas[digest] for digest in sorted(book.schemas)],
        unpaired=[(*found, n) for found, n in sorted(book.unpaired.items())],
        refused=book.refused,
        forgotten=book.forgotten,
    )


def restore(stored: StoredBook, window_s: int) -> Book:
    """The book that was written. Raises ValueError."""
    span = span_of(window_s)
    book = Book(refused=stored.refused, forgotten=stored.forgotten)
    for held in stored.rooms:
        answers = {(answer.request_id, answer.at_us): answer for answer in held.answers}
        book.rooms[held.writer] = Room(held.epoch, held.last_us, held.since_shadow, held.size, answers)
    for kept in stored.tracks:
        ring = unpack_ring(kept.ring, span)
        if ring.slices:
            book.tracks[Rival(*kept.rival)] = Track(ring, kept.last_minute, dict(kept.worst))
    book.schemas = {schema.digest: schema for schema in stored.schemas}
    book.unpaired = Counter({Unpaired(*found[:3]): found[3] for found in stored.unpaired})
    return book
