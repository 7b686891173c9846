# docs/options.md, from the options themselves.
{ lib }:
let
  systems = import ./evaluate.nix { inherit lib; };
  prefix = "services.compose-agent";
  # Places in this checkout are nobody's business, and change.
  documented =
    options:
    lib.filter (option: lib.hasPrefix prefix option.name && option.visible && !option.internal) (
      lib.optionAttrSetToDocList options
    );
  text = value: value.text or (lib.generators.toPretty { } value);
  code =
    what: option:
    lib.optional (option ? ${what}) (
      let
        written = lib.removeSuffix "\n" (text option.${what});
        name = if what == "default" then "Default" else "Example";
      in
      if lib.hasInfix "\n" written then "${name}:\n\n```nix\n${written}\n```" else "${name}: `${written}`"
    );
  # Sets of the option's own markup, `{option}`, mean nothing elsewhere.
  plain = lib.replaceStrings [ "{option}" ] [ "" ];
  section =
    option:
    lib.concatStringsSep "\n\n" (
      [
        "### `${lib.removePrefix "${prefix}." option.name}`"
        (lib.removeSuffix "\n" (plain (option.description.text or option.description)))
        "Type: ${option.type}"
      ]
      ++ code "default" option
      ++ code "example" option
    );
  nixos = documented (systems.evaluate [ ]).options;
  home = documented (systems.home [ ]).options;
  said = lib.listToAttrs (map (option: lib.nameValuePair option.name (section option)) nixos);
  differ = lib.filter (option: said.${option.name} or null != section option) home;
in
''
  # Options

  Made from the modules by `tests/nix/run --record`; an edit here is undone by the next one.

  All of them are below `${prefix}`.

  ## NixOS

  ${lib.concatMapStringsSep "\n\n" section nixos}

  ## Home Manager

  The same stacks, and these, which are others or mean something else than on NixOS.

  ${lib.concatMapStringsSep "\n\n" section differ}
''
