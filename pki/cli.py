"""`v2g-pki`: mint, issue, inspect, export, revoke, crl, ocsp and break, on the command line.

Private keys are written to files only (mode 0600) and never printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography import x509

from pki.certificate import Urls, create_file
from pki.export import export_everest, export_josev
from pki.hierarchy import Hierarchy
from pki.inspect import dumps, inspect_chain, read_certificates
from pki.profiles import Edition, Family, Role
from pki.revocation import crl, make_responder, revoke, staples


class Exit(IntEnum):
    """What a command's end means; the same codes as those of `hlc`."""

    OK = 0
    FAILED = 1
    """It ran, and the result is bad: a certificate breaks a rule of its profile."""
    USAGE = 2
    """The command line or an input cannot be used, or an output cannot be written."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM before the end."""


EPILOG = (
    "Exit codes: 0 all well; 1 a certificate breaks a rule; 2 command line or file unusable; 130 interrupted."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="V2G certificate hierarchies for a lab: the good ones, and broken ones on purpose.",
    epilog=EPILOG,
)

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory of the hierarchy, as mint --out made it.")
]
Now = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Pretend it is this time (ISO 8601, UTC if it names no zone)."),
]
_OVERWRITE = "; --overwrite replaces it"
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that already exist.")]


class Leaf(StrEnum):
    """The roles of certificates that `issue` makes."""

    SECC = Role.SECC
    VEHICLE = Role.VEHICLE
    OEM_PROVISIONING = Role.OEM_PROVISIONING
    CONTRACT = Role.CONTRACT
    CPS = Role.CPS


@contextmanager
def _plain_errors(way_out: str = "") -> Iterator[None]:
    """Errors the user can mend, as one line on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    except FileExistsError as error:
        _stop(f"{os.fsdecode(error.filename)} exists already{way_out}" if error.filename else str(error))
    except OSError as error:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _stop(f"{where}{error.strerror or error}")
    except (ValueError, KeyError, RuntimeError) as error:
        _stop(str(error.args[0] if isinstance(error, KeyError) and error.args else error))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _stop(text: str) -> NoReturn:
    typer.secho(f"v2g-pki: {text}", err=True, fg=typer.colors.RED)
    raise typer.Exit(Exit.USAGE)


def _when(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--now {text!r} is no ISO 8601 time, such as 2030-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command(epilog=EPILOG)
def mint(
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the hierarchy.")],
    edition: Annotated[Edition, typer.Option(help="Which text the certificates follow.")] = Edition.ISO_20,
    family: Annotated[Family | None, typer.Option(help="Key family [default: that of the edition].")] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Makes keys and certificates reproducible, hence worthless as secrets."
        ),
    ] = None,
    now: Now = None,
    ocsp_url: Annotated[
        str, typer.Option(metavar="URL", help="OCSP responder named in certificates.")
    ] = Urls.ocsp,
    crl_url: Annotated[
        str, typer.Option(metavar="URL", help="CRL address; {ca} becomes the CA's name.")
    ] = Urls.crl,
    critical_identifiers: Annotated[
        bool,
        typer.Option(
            "--critical-identifiers", help="Mark SKI, AKI and AIA critical, as the first edition prints it."
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Mint every certificate chain of an edition: the good ones."""
    with _plain_errors(_OVERWRITE):
        urls = Urls(ocsp_url, crl_url)
        made = Hierarchy.mint(
            edition,
            family,
            seed=seed,
            now=_when(now),
            urls=urls,
            critical_identifiers=critical_identifiers,
        )
        made.write(out, overwrite=overwrite)
        for leaf in made.leaves():
            _write_staples(made, out, leaf.name, _when(now))
        typer.echo(f"{len(made.credentials)} certificates ({made.edition}, {made.family}) in {out}")


def _write_staples(
    hierarchy: Hierarchy, directory: Path, name: str, now: datetime | None = None
) -> list[Path]:
    paths = []
    for index, data in enumerate(staples(hierarchy, name, now)):
        path = directory / "ocsp" / f"{name}.{index}.der"
        create_file(path, data, overwrite=True)
        paths.append(path)
    return paths


@app.command(epilog=EPILOG)
def issue(
    directory: Directory,
    role: Annotated[Leaf, typer.Argument(metavar="ROLE", help="What the certificate is for.")],
    cn: Annotated[str, typer.Argument(metavar="CN", help="Common name: SECCID, EVCCID, PCID or EMAID.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the new files.")],
    organisation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Organization name in the subject.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Days of validity [default: those of the profile].")
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="TEXT", help="As in mint.")] = None,
) -> None:
    """Issue one more leaf below an existing hierarchy."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        made = hierarchy.issue(Role(role), cn, name=name, organisation=organisation, days=days, seed=seed)
        made.write(directory)
        hierarchy.write_manifest(directory)
        _write_staples(hierarchy, directory, name)
        typer.echo(f"{directory / 'chains' / f'{name}.pem'}")


@app.command(epilog=EPILOG)
def inspect(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="PEM bundles or DER certificates, leaf first.")
    ],
    edition: Annotated[Edition, typer.Option(help="The text to compare with.")] = Edition.ISO_20,
    now: Now = None,
) -> None:
    """Explain certificates, and say which rule of the profile each breaks.

    Exit code 1 if any does.
    """
    with _plain_errors():
        chain = [der for file in files for der in read_certificates(file)]
        reports = inspect_chain(chain, edition, _when(now))
        typer.echo(dumps(reports))
    if any(report.findings for report in reports):
        raise typer.Exit(Exit.FAILED)


class Layout(StrEnum):
    josev = "josev"
    everest = "everest"


@app.command(epilog=EPILOG)
def export(
    directory: Directory,
    layout: Annotated[Layout, typer.Argument(help="The stack.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write the tree.")],
    vehicle_as_oem: Annotated[
        bool,
        typer.Option(help="Josev only: its EV presents the vehicle leaf, not the provisioning leaf."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Copy a hierarchy into the file layout of another stack."""
    with _plain_errors(_OVERWRITE):
        hierarchy = Hierarchy.load(directory)
        if layout is Layout.josev:
            written = export_josev(hierarchy, out, vehicle_as_oem=vehicle_as_oem, overwrite=overwrite)
        else:
            written = export_everest(hierarchy, out, overwrite=overwrite)
        typer.echo(f"{len(written)} files in {out}")


@app.command("revoke", epilog=EPILOG)
def revoke_command(
    directory: Directory,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the certificate.")],
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="RFC 5280 reason, such as keyCompromise.")
    ] = "unspecified",
) -> None:
    """Revoke a certificate; writes the CRL of its CA and renews staples."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        revoke(hierarchy, name, reason)
        hierarchy.write_manifest(directory)
        issuer = hierarchy[name].issuer
        assert issuer is not None
        path = directory / "crl" / f"{issuer.name}.crl"
        create_file(path, crl(hierarchy, issuer.name), overwrite=True)
        for leaf in hierarchy.leaves():
            if any(link.name == name for link in leaf.path):
                _write_staples(hierarchy, directory, leaf.name)
        typer.echo(f"{name} revoked; {path}")


@app.command("crl", epilog=EPILOG)
def crl_command(directory: Directory) -> None:
    """Write a fresh CRL (one week) for every CA."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        for credential in hierarchy.credentials.values():
            basic = credential.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
            if basic.value.ca and credential.role is not Role.CROSS:
                path = directory / "crl" / f"{credential.name}.crl"
                create_file(path, crl(hierarchy, credential.name), overwrite=True)
                typer.echo(str(path))


@app.command(epilog=EPILOG)
def ocsp(
    directory: Directory,
    staple: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Write staple files for this leaf instead of serving (repeatable)."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8888,
) -> None:
    """Answer OCSP and CRL requests on loopback, or write staple files (valid for one week)."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        if staple:
            for name in staple:
                for path in _write_staples(hierarchy, directory, name):
                    typer.echo(str(path))
            return
        with make_responder(lambda: Hierarchy.load(directory), port) as server:
            typer.echo(f"OCSP responder on http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                typer.echo("stopped")


@app.command("break", epilog=EPILOG)
def break_command(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Directory of a good hierarchy.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Variants to make; none: all that fit.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write NAME.pem and NAME.key.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Name the variants and the verdict each deserves.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Make certificates that are wrong on purpose."""
    from pki.broken import break_chain, variants

    with _plain_errors(_OVERWRITE):
        table = variants()
        if listing:
            for variant in table.values():
                alerts = ",".join(str(alert) for alert in sorted(variant.alerts)) or variant.response or "-"
                typer.echo(f"{variant.name:36} {variant.verdict:7} {alerts:14} {variant.wrong}")
            typer.echo(f"{len(table)} variants")
            return
        if directory is None or out is None:
            raise ValueError("give the directory of a hierarchy and --out, or --list")
        hierarchy = Hierarchy.load(directory)
        chosen = names or [
            name
            for name, variant in table.items()
            if hierarchy.edition in variant.editions and hierarchy.family in variant.families
        ]
        for name in chosen:
            break_chain(hierarchy, name).write(out, overwrite=overwrite)
        rest = (
            ""
            if names
            else f"; {len(table) - len(chosen)} do not fit ({hierarchy.edition}, {hierarchy.family})"
        )
        typer.echo(f"{len(chosen)} variants in {out}{rest}")


def main() -> None:
    """Entry point of the `v2g-pki` command."""
    app()


if __name__ == "__main__":
    main()
