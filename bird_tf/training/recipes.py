"""Whether a recipe and records belong together: whether the records have the chunks that it was made for."""

from __future__ import annotations

import dataclasses

from absl import logging

from bird_tf import config, flagfiles
from bird_tf.audio import decode, frontend
from bird_tf.records import manifests

# beside the default one: {flagfile of the training: the converter's, for which it is made}
_OTHER_RECIPES = {"resnet.flags": "records.flags", "gpu.flags": "records-gpu.flags", "demo.flags": "records-demo.flags"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Chunks:
    """The converter's flags that decide what a chunk is."""

    front_end: frontend.FrontendConfig
    chunking: decode.ChunkingConfig


def differences(flagfile: str, manifest: manifests.Manifest) -> dict[str, tuple[object, object]]:
    """{flag of the converter: (value in the flagfile, value in the records)} of what makes other chunks.

    Raises:
        InputError: no such flagfile, or a value cannot be used.
    """
    known = {field.name for field, _ in config.leaves(_Chunks)}
    try:
        given = [flag for flag in flagfiles.read(flagfile) if flagfiles.name_of(flag) in known]
    except flagfiles.FlagfileError as error:
        raise config.InputError(f"--records_recipe={flagfile}: {error}") from error
    wanted = config.to_mapping(config.parse(_Chunks, given))
    found = {**manifest.converter, **config.to_mapping(manifest.front_end)}
    return {name: (value, found[name]) for name, value in wanted.items() if name in found and found[name] != value}


def for_records(manifest: manifests.Manifest) -> list[str]:
    """The flagfile of the training for records: none if the default one, or no other, is made for them.

    Records with a backbone's features are for a head.
    """
    if manifest.backbone:
        return ["configs/head.flags"]
    made_for = (own for own, theirs in _OTHER_RECIPES.items() if not differences(theirs, manifest))
    return [f"configs/{own}" for own in made_for][:1]


def warn_of_other_records(flagfile: str, manifest: manifests.Manifest) -> None:
    """Warns if records have other chunks than those of the flagfile; empty: the recipe is made for any records."""
    if flagfile and (differing := differences(flagfile, manifest)):
        logging.warning(
            "this recipe is made for records by --flagfile=%s, and %s has other ones: %s; convert with that flagfile, "
            "or choose the recipe for these records (configs/README.md)",
            flagfile, manifest.directory,
            ", ".join(f"{name} {theirs} instead of {ours}" for name, (ours, theirs) in differing.items()),
        )  # fmt: skip
