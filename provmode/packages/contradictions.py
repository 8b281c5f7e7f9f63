"""What is contradictory or odd in the file of a package: each a finding.

That the numbers of files and folders in the container's XML do not match the tree is no finding: they never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provmode.packages.compiled import Compiled, stage_of
from provmode.packages.container import Container, Signature
from provmode.packages.customizations import Customizations, Raw
from provmode.packages.findings import Finding, places
from provmode.packages.image import Image, normal_id, number
from provmode.packages.matching import Matches, differs
from provmode.packages.model import OWNERS, RANKS, Metadata, Stage
from provmode.reading import Absent, Known, Unknown
from provmode.text import shortened

MANY = 50
"""Settings at one path, such as members of a list, of which the compiled values are still compared."""
_REMARKS = {
    "weak-digest": "signature-weak",
    "weak-key": "signature-weak",
    "bytes-behind": "trailing-bytes",
}
"""Which finding a remark about a signature is, if not just an odd one."""


def contradictions(
    metadata: Metadata, image: Image, container: Container, source: Customizations, sources: Sequence[str]
) -> Iterator[Finding]:
    """Yield what contradicts itself in what a package says of itself."""
    noted = normal_id(image.notes.get("packageid", ""))
    ids = [each for each in (metadata.id, image.id, noted) if each]
    if len(set(ids)) > 1 or not metadata.id:
        told = (("source", metadata.id), ("container", image.id), ("designer", noted))
        yield Finding("id-differs", "it has several ids: " + ", ".join(f"{who} {_quoted(each)}" for who, each in told))
    if image.name and image.name != metadata.name:
        yield Finding(
            "name-differs", f"the source calls it {_quoted(metadata.name)}, the container {_quoted(image.name)}"
        )
    if image.version and image.version != metadata.version:
        yield Finding(
            "version-differs",
            f"the source says version {_quoted(metadata.version)}, the container {_quoted(image.version)}",
        )
    yield from _precedence(metadata, image, source)
    if len(sources) > 1:
        yield Finding("several-sources", f"{places(sources)}; the first one was read")
    if container.trailing:
        yield Finding("trailing-bytes", f"{container.trailing:,} bytes at its end belong to nothing in it")


def _precedence(metadata: Metadata, image: Image, source: Customizations) -> Iterator[Finding]:
    if metadata.owner not in OWNERS:
        yield Finding(
            "owner-unknown",
            f"its owner type is {_quoted(metadata.owner)}; Windows knows {', '.join(OWNERS)}",
        )
    if metadata.rank not in RANKS:
        yield Finding("rank-invalid", f"its rank is {_quoted(source.config.get('Rank', ''))}; Windows knows 0 to 99")
    if not image.altitude:
        return
    if number(image.altitude) is None:
        yield Finding("altitude-differs", f"the container is ordered by {_quoted(image.altitude)}, which is no number")
    elif metadata.precedence is not None and metadata.altitude != metadata.precedence:
        yield Finding(
            "altitude-differs",
            f"owner type {metadata.owner} and rank {metadata.rank} come to {metadata.precedence}, "
            f"the container is ordered by {metadata.altitude}",
        )


def of_signature(metadata: Metadata, signature: Signature) -> Iterator[Finding]:
    """Yield what is wrong with a signature, or with its absence."""
    if isinstance(signature.signer, Absent) and metadata.sign_package:
        yield Finding(
            "not-signed-as-said", "the designer was asked to sign it (SignPackage=True), and it is not signed"
        )
    if signature.intact == Known(False):
        yield Finding("signature-broken", "it is not what was signed: it or its signature was changed since")
    elif isinstance(signature.intact, Unknown) and signature.intact.cause != "not-read":
        code = "signature-untold" if signature.intact.cause == "unsupported" else "signature-malformed"
        yield Finding(code, signature.intact.detail)
    for remark in signature.remarks:
        yield Finding(_REMARKS.get(remark.code, "signature-odd"), remark.text)


def of_source(source: Customizations) -> Iterator[Finding]:
    """Yield what is odd in the source itself."""
    if source.missing:
        yield Finding("target-missing", f"not in the package: {places([_quoted(each) for each in source.missing])}")
    if source.unknown_conditions:
        yield Finding(
            "condition-unknown", f"conditions that Microsoft does not name: {places(source.unknown_conditions)}"
        )
    if source.duplicates:
        yield Finding("duplicate", f"more than once: {places(source.duplicates)}")


def of_compiled(
    source: Customizations, answers: Sequence[Raw], compiled: Compiled, matches: Matches, commands: Sequence[str]
) -> Iterator[Finding]:
    """Yield in what the source differs from what is compiled, and from the answer file."""
    if commands:
        yield Finding("compiled-command", f"commands that only Windows sees: {places(commands)}")
    if compiled.missing:
        yield Finding("compiled-missing", f"named, and not there: {places(compiled.missing)}")
    if compiled.unlisted:
        yield Finding("compiled-unlisted", f"there, and not named: {places(compiled.unlisted)}")
    unknown = [name for name in compiled.stages if stage_of(name) is Stage.UNKNOWN]
    if unknown:
        yield Finding("stage-unknown", f"stages that Microsoft does not describe: {places(unknown)}")
    if compiled.files and not matches.told:
        yield Finding("compiled-unmatched", f"{len(compiled.files):,} compiled files are named in an unknown way")
    elif compiled.files:
        if matches.strangers:
            yield Finding("compiled-without-source", f"of no setting of the source: {places(matches.strangers)}")
        settings = [each for number, each in enumerate(source.settings) if number not in matches.stage]
        without = [each.path for each in settings if each.value.strip()]
        if without:
            yield Finding("not-compiled", f"no compiled file was found of: {places(without)}")
        different = _different(source, compiled, matches)
        if different:
            yield Finding("compiled-differs", f"compiled to another value: {places(different)}")
    known = {each.plain_path for each in source.settings}
    others = list(dict.fromkeys(each.path for each in answers if each.plain_path not in known))
    if others:
        yield Finding("answer-file-differs", f"only in the answer file: {places(others)}")


def _different(source: Customizations, compiled: Compiled, matches: Matches) -> list[str]:
    """Return the paths of settings that a file compiles only to values that none of those at this path has."""
    same: dict[tuple[str, str], bool] = {}
    for at, candidates in matches.settings.items():
        parameter, path = compiled.parameters[at], source.settings[candidates[0]].path
        place = parameter.file, path
        if not same.get(place, False):
            # of which of very many it is cannot be told
            same[place] = len(candidates) > MANY or not all(
                differs(source.settings[each], parameter) for each in candidates
            )
    return list(dict.fromkeys(path for (_, path), each in same.items() if not each))


def _quoted(text: str) -> str:
    return f'"{shortened(text, 100)}"'
