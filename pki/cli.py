"""`v2g-pki`: mint, issue, inspect, export, revoke, ocsp and break, on the command line.

Private keys are written to files only (mode 0600) and never printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from pki.certificate import Urls, create_file
from pki.export import export_everest, export_josev
from pki.hierarchy import Hierarchy
from pki.inspect import dumps, inspect_chain, read_certificates
from pki.profiles import Edition, Family, Role
from pki.revocation import crl, make_responder, revoke, staples

app = typer.Typer(no_args_is_help=True, add_completion=False, help="V2G certificate hierarchies for a lab.")

Directory = Annotated[Path, typer.Argument(help="Directory of the hierarchy, as `mint --out` made it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that already exist.")]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors the user can mend, as one line on standard error and exit code 1."""
    try:
        yield
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        typer.echo(f"v2g-pki: {text}", err=True)
        raise typer.Exit(1) from None


def _when(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command()
def mint(
    out: Annotated[Path, typer.Option(help="New directory for the hierarchy.")],
    edition: Annotated[Edition, typer.Option(help="Which text the certificates follow.")] = Edition.ISO_20,
    family: Annotated[Family | None, typer.Option(help="Key family; default: that of the edition.")] = None,
    seed: Annotated[
        str | None, typer.Option(help="Makes keys and certificates reproducible, hence worthless as secrets.")
    ] = None,
    now: Annotated[str | None, typer.Option(help="Pretend it is this ISO 8601 time.")] = None,
    ocsp_url: Annotated[str, typer.Option(help="OCSP responder named in certificates.")] = Urls.ocsp,
    crl_url: Annotated[str, typer.Option(help="CRL address; {ca} becomes the CA's name.")] = Urls.crl,
    critical_identifiers: Annotated[
        bool, typer.Option(help="Mark SKI, AKI and AIA critical, as the first edition prints it.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Mint every certificate chain of an edition: the good ones."""
    with _plain_errors():
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


@app.command()
def issue(
    directory: Directory,
    role: Annotated[Role, typer.Argument(help="secc, vehicle, oem-provisioning, contract or cps.")],
    cn: Annotated[str, typer.Argument(help="Common name: SECCID, EVCCID, PCID or EMAID.")],
    name: Annotated[str, typer.Option(help="Name of the new files.")],
    organisation: Annotated[str | None, typer.Option(help="Organization name in the subject.")] = None,
    days: Annotated[int | None, typer.Option(help="Days of validity; default: that of the profile.")] = None,
    seed: Annotated[str | None, typer.Option(help="As in mint.")] = None,
) -> None:
    """Issue one more leaf below an existing hierarchy."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        made = hierarchy.issue(role, cn, name=name, organisation=organisation, days=days, seed=seed)
        made.write(directory)
        hierarchy.write_manifest(directory)
        _write_staples(hierarchy, directory, name)
        typer.echo(f"{directory / 'chains' / f'{name}.pem'}")


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(help="PEM bundles or DER certificates, leaf first.")],
    edition: Annotated[Edition, typer.Option(help="The text to compare with.")] = Edition.ISO_20,
    now: Annotated[str | None, typer.Option(help="Pretend it is this ISO 8601 time.")] = None,
) -> None:
    """Explain certificates and say which rule of the profile each breaks; exit code 2 if any does."""
    with _plain_errors():
        chain = [der for file in files for der in read_certificates(file)]
        reports = inspect_chain(chain, edition, _when(now))
        typer.echo(dumps(reports))
    if any(report.findings for report in reports):
        raise typer.Exit(2)


@app.command()
def export(
    directory: Directory,
    layout: Annotated[str, typer.Argument(help="josev or everest.")],
    out: Annotated[Path, typer.Argument(help="Where to write the tree.")],
    vehicle_as_oem: Annotated[
        bool,
        typer.Option(help="Josev only: its EV presents the vehicle leaf, not the provisioning leaf."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Copy a hierarchy into the file layout of another stack."""
    with _plain_errors():
        hierarchy = Hierarchy.load(directory)
        if layout == "josev":
            written = export_josev(hierarchy, out, vehicle_as_oem=vehicle_as_oem, overwrite=overwrite)
        elif layout == "everest":
            written = export_everest(hierarchy, out, overwrite=overwrite)
        else:
            raise ValueError(f"no layout {layout!r}: there are josev and everest")
        typer.echo(f"{len(written)} files in {out}")


@app.command("revoke")
def revoke_command(
    directory: Directory,
    name: Annotated[str, typer.Argument(help="Name of the certificate.")],
    reason: Annotated[str, typer.Option(help="RFC 5280 reason, such as keyCompromise.")] = "unspecified",
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


@app.command("crl")
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


@app.command()
def ocsp(
    directory: Directory,
    staple: Annotated[
        list[str] | None, typer.Option(help="Write staple files for this leaf instead of serving.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8888,
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


@app.command("break")
def break_command(
    directory: Annotated[Path | None, typer.Argument(help="Directory of a good hierarchy.")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Variants to make; none: all that fit.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write NAME.pem and NAME.key.")] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Name the variants and the verdict each deserves.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Make certificates that are wrong on purpose."""
    from pki.broken import break_chain, variants

    with _plain_errors():
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
        typer.echo(f"{len(chosen)} variants in {out}")


def main() -> None:
    """Entry point of the `v2g-pki` command."""
    app()


if __name__ == "__main__":
    main()
