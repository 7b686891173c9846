# The options of Home Manager that its module writes to, typed, and a generation with what the module puts into it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  section = types.attrsOf (
    types.oneOf [
      types.bool
      types.int
      types.str
      (types.listOf types.str)
    ]
  );
in
{
  options = {
    home.username = mkOption {
      type = types.str;
      default = "me";
    };
    home.packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    home.sessionVariables = mkOption {
      type = types.attrsOf types.str;
      default = { };
    };
    home.extraBuilderCommands = mkOption {
      type = types.lines;
      default = "";
    };
    xdg.configHome = mkOption {
      type = types.path;
      default = "/home/me/.config";
    };
    xdg.stateHome = mkOption {
      type = types.path;
      default = "/home/me/.local/state";
    };
    systemd.user.services = mkOption {
      type = types.attrsOf (types.attrsOf section);
      default = { };
    };
    generation = mkOption { type = types.package; };
  };
  config.generation = pkgs.runCommand "home-manager-generation" { } ''
    mkdir -p $out
    ${config.home.extraBuilderCommands}
  '';
}
