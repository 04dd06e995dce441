# A Rails application that is Action Mailbox and nothing else. Its state is in $STATE: the database, and each mail as it was posted.
require 'rails'
require 'active_record/railtie'
require 'active_storage/engine'
require 'action_mailbox/engine'

STATE = ENV.fetch('STATE')

class Application < Rails::Application
  config.load_defaults 6.1
  config.root = STATE
  config.cache_classes = true
  config.eager_load = true
  config.consider_all_requests_local = false
  config.secret_key_base = 'x' * 64
  config.hosts.clear
  config.logger = Logger.new($stdout)
  config.log_level = :warn
  config.active_storage.service_configurations = { 'local' => { 'service' => 'Disk', 'root' => "#{STATE}/mails" } }
  config.active_storage.service = :local
  config.active_storage.queues.analysis = :default
  config.active_job.queue_adapter = :inline
  # Thirty days later is a job that this queue does not take.
  config.action_mailbox.incinerate = false
  config.action_mailbox.ingress = :relay unless ENV['WITHOUT_INGRESS']
end

# A queue that is down while there is a file of that name.
module QueueThatMayBeDown
  def enqueue(job)
    raise 'the job queue is down' if File.exist?("#{STATE}/queue-is-down")
    super
  end
end
ActiveJob::QueueAdapters::InlineAdapter.prepend(QueueThatMayBeDown)

ENV['DATABASE_URL'] = "sqlite3:#{STATE}/database?timeout=10000"
Application.initialize!
ActiveRecord::Base.establish_connection
unless ActiveRecord::Base.connection.table_exists?(:action_mailbox_inbound_emails)
  paths = %w[activestorage actionmailbox].map { |gem| "#{Gem.loaded_specs.fetch(gem).gem_dir}/db/migrate" }
  ActiveRecord::MigrationContext.new(paths, ActiveRecord::SchemaMigration).migrate
end

# What the mailbox saw is what an application sees.
class ApplicationMailbox < ActionMailbox::Base
  routing all: :everything
end

class EverythingMailbox < ApplicationMailbox
  def process
    line = [mail.message_id, mail.recipients.join(' '), Array(mail.to).join(' '), mail.subject].join("\t")
    File.open("#{STATE}/processed", 'a') { |file| file.write("#{line}\n") }
  end
end

run Rails.application
