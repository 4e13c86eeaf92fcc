"""Signatures by the real package, with keys that openssl made, where no network is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import SignatureRefused, SigningUnavailable
from models.manifest import CARD, CONTRACT, MODEL, SIGNATURE
from models.registry import Registry
from models.signing import Signatures, sign
from tests.onnx_models import mixed, mixed_contract

FILES = {MODEL: mixed(), CONTRACT: mixed_contract().encode(), CARD: b"{}"}
CURVES = ("prime256v1", "secp384r1", "secp521r1")


def key_pair(place: Path, name: str, curve: str = "prime256v1") -> tuple[Path, Path]:
    """Private and public key file."""
    private, public = place / f"{name}.pem", place / f"{name}.pub"
    _run("openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private)
    _run("openssl", "ec", "-in", private, "-pubout", "-out", public)
    return private, public


def _run(*words: str | Path) -> None:
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("curve", CURVES)
def test_a_signed_version_is_believed_by_whoever_has_the_key(tmp_path: Path, curve: str) -> None:
    private, public = key_pair(tmp_path, "ours", curve)
    Signatures([public]).check(FILES, sign(FILES, private, name="m"), "m:1")


def test_one_of_several_keys_is_enough(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "new")
    _, old = key_pair(tmp_path, "old")
    Signatures([old, public]).check(FILES, sign(FILES, private, name="m"), "m:1")
    with pytest.raises(SignatureRefused, match=r"old\.pub: Key mismatch"):
        Signatures([old]).check(FILES, sign(FILES, private, name="m"), "m:1")


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, MODEL: mixed(bias=1)},
        {**FILES, "baseline.json": b"{}"},
        {MODEL: FILES[MODEL], CONTRACT: FILES[CONTRACT]},
        {},
    ],
    ids=["a byte", "one more", "one fewer", "none"],
)
def test_a_signature_holds_for_exactly_its_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    private, public = key_pair(tmp_path, "ours")
    with pytest.raises(SignatureRefused, match="does not hold"):
        Signatures([public]).check(files, sign(FILES, private, name="m"), "m:1")


def test_every_changed_byte_of_a_signature_is_noticed_or_means_nothing(tmp_path: Path) -> None:
    """JSON's own spaces apart, there is no byte of a bundle whose change leaves a signature of other content."""
    private, public = key_pair(tmp_path, "ours")
    signature = sign(FILES, private, name="m")
    trust = Signatures([public])
    for place in range(0, len(signature), 37):
        changed = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        try:
            trust.check(FILES, changed, "m:1")
        except SignatureRefused:
            continue
        with pytest.raises(SignatureRefused):  # what still holds holds for these files and no others
            trust.check({**FILES, CARD: b"other"}, changed, "m:1")


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"\x80\x04K\x01.", b"[" * 100_000, b'{"verificationMaterial": {"publicKey": {}}}']
)
def test_what_is_no_signature_is_refused_and_says_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], junk: bytes
) -> None:
    _, public = key_pair(tmp_path, "ours")
    for signature in (None, junk):
        with pytest.raises(SignatureRefused, match="models sign"):
            Signatures([public]).check(FILES, signature, "m:1")
    assert capsys.readouterr().out == ""


def test_a_signature_that_names_no_key_is_refused_without_the_package_s_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = key_pair(tmp_path, "ours")
    bundle = json.loads(sign(FILES, private, name="m"))
    del bundle["verificationMaterial"]["publicKey"]["hint"]  # as the package's first versions wrote it
    with pytest.raises(SignatureRefused, match="no bundle of a key's signature"):
        Signatures([public]).check(FILES, json.dumps(bundle).encode(), "m:1")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("what", ["nothing", "junk", "rsa", "private"])
def test_a_key_that_is_none_is_said_at_once(tmp_path: Path, what: str) -> None:
    place = tmp_path / what
    match what:
        case "junk":
            place.write_text("junk")
        case "rsa":
            _run("openssl", "genrsa", "-out", tmp_path / "rsa.pem", "2048")
            _run("openssl", "rsa", "-in", tmp_path / "rsa.pem", "-pubout", "-out", place)
        case "private":
            place = key_pair(tmp_path, "ours")[0]
    with pytest.raises(SigningUnavailable, match="expected a PEM file of an elliptic key"):
        Signatures([place])


def test_a_locked_key_is_unlocked_by_its_password_alone(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "ours")
    locked = tmp_path / "locked.pem"
    _run("openssl", "pkcs8", "-topk8", "-in", private, "-out", locked, "-passout", "pass:sesame")
    Signatures([public]).check(FILES, sign(FILES, locked, name="m", password=b"sesame"), "m:1")
    for password in (None, b"other"):
        with pytest.raises(SigningUnavailable) as refused:
            sign(FILES, locked, name="m", password=password)
        assert "other" not in str(refused.value)


# --- the package's own command --------------------------------------------------------------------------------------

TOOL = [sys.executable, "-m", "model_signing"]
NO_NETWORK = ["unshare", "--net"]  # not even loopback is up in there


@pytest.mark.integration  # three starts of the package's command
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare on this machine")
def test_either_tool_accepts_the_other_s_signature_without_any_network(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "ours")
    registry = Registry(tmp_path / "registry")
    digest = registry.install(FILES)
    place = registry.place(digest)
    registry.put_signature(digest, sign(FILES, private, name="m"))
    verify = ["verify", "key", str(place), "--signature", str(place / SIGNATURE), "--public_key", str(public)]
    _run(*NO_NETWORK, *TOOL, *verify)
    plain = tmp_path / "plain"
    plain.mkdir()
    for name, data in FILES.items():
        (plain / name).write_bytes(data)
    made = ["sign", "key", str(plain), "--signature", str(plain / SIGNATURE), "--private_key", str(private)]
    _run(*NO_NETWORK, *TOOL, *made)
    Signatures([public]).check(FILES, (plain / SIGNATURE).read_bytes(), "m:1")
