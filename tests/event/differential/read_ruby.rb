# The messages named on the command line as the Ruby mail gem reads them: a line of JSON for each.
require "base64"
require "json"
require "mail"

def tree(part)
  kind = (part.mime_type || "text/plain").downcase
  node = { type: kind, charset: nil, filename: part.filename, disposition: part.content_disposition.to_s[/\A\s*[\w-]+/].to_s.strip.downcase,
           cid: part.content_id.to_s.delete("<>"), start: (part.content_type_parameters || {})["start"].to_s.delete("<>") }
  return node.merge(children: part.parts.map { |one| tree(one) }) if kind.start_with?("multipart/") && !part.parts.empty?

  octets = part.body.decoded
  octets = part.body.raw_source if kind == "message/rfc822" && part.content_transfer_encoding.to_s !~ /base64|quoted/i
  text = kind.start_with?("text/") ? part.decoded.encode("UTF-8", invalid: :replace, undef: :replace) : nil
  node.merge(octets: Base64.strict_encode64(octets.dup.force_encoding("BINARY")), text: text)
end

def attempt
  value = yield
  value.is_a?(String) ? value.dup.force_encoding("UTF-8").scrub : value
rescue StandardError
  { "error" => true }
end

ARGV.each do |path|
  mail = Mail.read_from_string(File.binread(path))
  list = ->(name) { attempt { mail[name] ? mail[name].addrs.map { |one| one.address.to_s.dup.force_encoding("UTF-8").scrub } : [] } }
  ids = ->(name) { attempt { mail[name] ? Array(mail[name].message_ids) : [] } }
  said = { subject: attempt { mail.subject }, from: list[:from], to: list[:to], cc: list[:cc], reply_to: list[:reply_to],
           message_id: ids[:message_id], in_reply_to: ids[:in_reply_to], references: ids[:references], tree: attempt { tree(mail) } }
  puts JSON.generate(said)
rescue StandardError => e
  puts JSON.generate({ error: e.class.name })
end
