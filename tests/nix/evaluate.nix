# The module in the real module system of nixpkgs' lib, with stand-ins for the rest of NixOS.
{
  lib,
  system ? "x86_64-linux",
}:
let
  pkgs = import ./nixpkgs/pkgs.nix { inherit lib system; };
in
{
  inherit pkgs;
  evaluate =
    modules:
    lib.evalModules {
      class = "nixos";
      modules = [
        ./nixpkgs/nixos.nix
        ../../systemd/nixos/module.nix
        { _module.args.pkgs = pkgs; }
      ]
      ++ modules;
    };

  home =
    modules:
    lib.evalModules {
      modules = [
        ./nixpkgs/home-manager.nix
        ../../systemd/nixos/home.nix
        { _module.args.pkgs = pkgs; }
      ]
      ++ modules;
    };
}
