"""Bills of materials (CycloneDX): what a package, or an image, consists of.

`python -m deb.sbom PACKAGE.cdx.json IMAGE.cdx.json` writes that of an image: what the package in it
consists of, and the Debian packages that standard input lists: see image/build.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

NAME = "dtadmin"
OPENSSL = re.compile(rb"OpenSSL (\d+\.\d+\.\d+) \d+ \w+ \d{4}")


def of_package(report: dict[str, Any], packages: Path, version: str, made: datetime) -> str:
    """The bill of a package, from pip's report about the wheels that it installed in `packages`."""
    site = next(packages.glob("*/site-packages"))
    named = {normalized(one.name): one.metadata for one in distributions(path=[str(site)])}
    wheels = [wheel(one, named[normalized(one["metadata"]["name"])]) for one in report["install"]]
    components = [*wheels, *bundled(packages)]
    return written(version, ComponentType.APPLICATION, components, made)


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel(installed: dict[str, Any], metadata: PackageMetadata) -> Component:
    """What pip installed, with what the wheel says of itself."""
    name, version = normalized(metadata["Name"]), metadata["Version"]
    digest = installed["download_info"]["archive_info"]["hashes"]["sha256"]
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name,
        version=version,
        description=metadata["Summary"],
        licenses=map(LicenseFactory().make_from_string, licenses(metadata)),
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def licenses(metadata: PackageMetadata) -> list[str]:
    """An expression, the names that the index knows, or what else is no whole text."""
    if expression := metadata.get_all("License-Expression"):
        return expression
    known = [one for one in metadata.get_all("Classifier", []) if one.startswith("License ::")]
    if known:
        return [one.rpartition(" :: ")[2] for one in known]
    (text,) = metadata.get_all("License") or [""]
    return [text] if 0 < len(text) < 100 else []


def bundled(packages: Path) -> Iterator[Component]:
    """OpenSSL, which wheels bring along: none of Debian's updates reaches it."""
    for library in sorted(packages.rglob("*.so*")):
        if found := OPENSSL.search(library.read_bytes()):
            version, file = found[1].decode(), str(library.relative_to(packages))
            yield Component(
                name="openssl",
                version=version,
                purl=PackageURL("generic", None, "openssl", version),
                cpe=f"cpe:2.3:a:openssl:openssl:{version}:*:*:*:*:*:*:*",
                bom_ref=f"openssl@{version} in {file}",
                properties=[Property(name="file", value=file)],
            )


def debian_package(line: str, distribution: str) -> Component:
    name, version, architecture, source = line.split("\t")
    qualifiers = {"arch": architecture, "distro": distribution, "upstream": source}
    purl = PackageURL("deb", "debian", name, version, qualifiers)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def written(
    version: str, kind: ComponentType, components: Iterable[Component], made: datetime
) -> str:
    """The bill as JSON, the same for the same contents."""
    of = Component(name=NAME, version=version, type=kind, bom_ref=NAME)
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=of, timestamp=made),
        serial_number=uuid5(NAMESPACE_URL, f"{NAME}:{kind.value}:{version}"),
    )
    bom.register_dependency(of, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def of_image(package: str, lines: Iterable[str], distribution: str) -> str:
    """The bill of an image, from that of the package in it and the lines about Debian's packages:
    name, version, architecture and source package, with tabs between them.
    """
    inner = Bom.from_json(json.loads(package))  # type: ignore[attr-defined]
    debian = [debian_package(line, distribution) for line in lines]
    kind, of = ComponentType.CONTAINER, inner.metadata.component
    return written(of.version, kind, [*inner.components, *debian], inner.metadata.timestamp)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    lines = sys.stdin.read().splitlines()
    target.write_text(of_image(source.read_text(), lines, "debian-13"))


if __name__ == "__main__":
    main()
