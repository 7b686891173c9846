# A user of any host that has Nix and Home Manager, with a rootless Engine: `imports = [ homeModules.default ];`.
#
# Lingering (`loginctl enable-linger`) keeps it running while the user is not logged in.
{ config, ... }:
{
  services.compose-agent = {
    enable = true;
    # Docker's rootless socket is the default; this is Podman's.
    docker.socket = "unix://%t/podman/podman.sock";
    keys = [ "${config.xdg.configHome}/sops/age/keys.txt" ];
    stacks.notes = {
      compose.services.web = {
        image = "ghcr.io/silverbulletmd/silverbullet:2.0.0";
        ports = [ "127.0.0.1:3000:3000" ];
        volumes = [ "./settings.md:/space/settings.md:ro" ];
      };
      files."settings.md".text = "# Settings\n";
    };
  };
}
