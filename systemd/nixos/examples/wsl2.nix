# NixOS in WSL2 (https://github.com/nix-community/NixOS-WSL), with its systemd and an Engine of its own.
#
# Windows's drives are mounted late and over 9p: what binds them waits for them. A clock that jumps after the machine slept
# holds nothing up.
{ ... }:
{
  wsl.enable = true;
  virtualisation.docker.enable = true;

  services.compose-agent = {
    enable = true;
    stacks.photos = {
      compose.services.web = {
        image = "photoprism/photoprism:250707";
        # Windows reaches it at localhost.
        ports = [ "127.0.0.1:2342:2342" ];
        volumes = [ "/mnt/c/Users/me/Pictures:/photoprism/originals:ro" ];
        # The card, as WSL2 shows it.
        devices = [ "/dev/dxg" ];
      };
      requiresMounts = [
        {
          path = "/mnt/c";
          type = "9p";
        }
      ];
    };
  };
}
