"""Windows provisioning packages (.ppkg): what is in them, and which setting wins. Pure.

* `read`        `read_package`: everything that is worth knowing of one file
* `model`       what is known of a package: settings, commands, assets, places of secrets
* `document`    a package as JSON, and the schema of that
* `container/`  the file: a Windows image (WIM), its signature
* `image`       the container's own XML
* `customizations`  the source: `PackageConfig`, settings, conditions
* `compiled`    what Windows applies: documents of configuration service providers
* `matching`    which compiled value is of which setting
* `commands`    what runs as SYSTEM
* `secrets`     what is a secret, and what looks like one in a text
* `secret_places`  where the secrets of one package stand
* `contradictions`  what is contradictory or odd in a file
* `findings`    the table of findings, and what to do about each
* `lint`        what is worth knowing before a package is shipped
* `precedence`  which package's value holds for each setting, and why
* `versions`    of several packages of one id, which count
* `diff`        what two packages differ in
* `preview`     what a package would change on one PC, and what a removal would leave
* `xml`         XML of a package, read as hostile input
* `errors`      why a package cannot be read
* `wanted`     which packages a PC should have, as the inventory says it
* `on_pc/`      reading packages of a PC: files, what was applied, policies

Something new that is in a file goes into `read` and `model`; a new finding is a row of `FINDINGS`.

Private: programs import from `provmode.api`.
"""
