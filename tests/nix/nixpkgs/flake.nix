{
  # Stands in for the nixpkgs input where that cannot be fetched: its real `lib`, which tests/nix/run puts at ./lib, and a
  # pkgs that a static shell builds.
  outputs =
    { self }:
    let
      lib = import ./lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs systems (system: import ./pkgs.nix { inherit lib system; });
    };
}
