# A server with most of the stacks. `docker` is the folder of their compose files, `secrets` that of their encrypted files.
{ docker, secrets }:
{ ... }:
let
  file = name: docker + "/${name}/docker-compose.yml";
  data = [ "/mnt/data" ];
in
{
  services.compose-agent = {
    enable = true;
    stacks = {
      # Small enough to be written here.
      smokeping.compose.services.smokeping = {
        image = "lscr.io/linuxserver/smokeping:latest";
        container_name = "smokeping";
        restart = "unless-stopped";
        environment = [
          "PUID=1000"
          "PGID=1000"
          "TZ=Australia/Perth"
        ];
        volumes = [
          "/mnt/docker/smokeping/config:/config"
          "/mnt/docker/smokeping/data:/data"
        ];
        ports = [ "8084:80" ];
      };

      stirlingpdf.compose = file "StirlingPDF";
      mealie.compose = file "mealie";
      management.compose = file "management";

      audiobookshelf.compose = file "audiobookshelf";
      audiobookshelf.requiresMounts = data;

      jdownloader2.compose = file "jdownloader2";
      jdownloader2.requiresMounts = data;

      netboot.compose = file "netboot";
      netboot.env.NGINX_PORT = 80;
      netboot.env.WEB_APP_PORT = 3000;

      webdav.compose = file "WebDav";
      webdav.requiresMounts = data;
      webdav.secrets.env = [ (secrets + "/webdav.env") ];

      atuin.compose = file "atuin";
      atuin.secrets.env = [ (secrets + "/atuin.env") ];

      kopia = {
        compose = file "kopia";
        requiresMounts = data ++ [ "/mnt/mum" ];
        secrets.env = [ (secrets + "/kopia.env") ];
      };

      # It and immich name `.env` as an env_file, too: the encrypted file takes that place.
      paperless = {
        compose = file "paperless";
        requiresMounts = data;
        secrets.files.".env" = secrets + "/paperless.env";
      };

      immich = {
        compose = [
          (file "immich")
          ./immich-image.yaml
        ];
        requiresMounts = data;
        secrets.files.".env" = secrets + "/immich.env";
        files."immich-tailscale-serve.json" = docker + "/immich/immich-tailscale-serve.json";
        healthDeadline = "10m";
      };

      invoices = {
        compose = file "invoices";
        secrets.env = [ (secrets + "/invoices.env") ];
        files.Caddyfile = docker + "/invoices/Caddyfile";
      };

      caddy.compose = file "tailscale/caddy";
      caddy.secrets.env = [ (secrets + "/caddy.env") ];

      tautulli.compose = file "tautulli";
    };
  };
}
