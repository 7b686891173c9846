# Which kinds of value do the options of both modules have, and how is one declared that may be left out?
{ lib }:
let
  inherit (lib) mkOption types;
in
{
  # As the agent's own arguments and agent.yaml have it.
  span = types.strMatching "[0-9]+(ms|s|m|h|d)" // {
    description = "duration such as 90s or 5m";
  };
  # As a compose file has it.
  duration = types.strMatching "([0-9]+(\\.[0-9]+)?(us|ms|s|m|h))+" // {
    description = "duration such as 30s or 1h30m";
  };
  absolute = types.strMatching "/.*" // {
    description = "absolute path";
  };
  # Key material has no business in the store, where everybody reads it.
  privatePath =
    types.addCheck types.str (path: lib.hasPrefix "/" path && !lib.hasPrefix builtins.storeDir path)
    // {
      description = "absolute path outside the Nix store";
    };

  optional =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };
}
