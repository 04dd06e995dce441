# What mail to Redmine needs: the web service for incoming e-mail, a project, and somebody who may write there.
Setting.mail_handler_api_enabled = '1'
Setting.mail_handler_api_key = 'the-key-of-redmine'
jane = User.new(login: 'jane', firstname: 'Jane', lastname: 'Doe', mail: 'jane@example.org', language: 'en')
jane.password = jane.password_confirmation = SecureRandom.hex
jane.save!
%w[general other].each do |name|
  project = Project.new(name: name, identifier: name, is_public: false)
  project.enabled_module_names = ['issue_tracking']
  project.trackers = Tracker.all
  project.save!
  Member.create!(project: project, user: jane, roles: [Role.givable.first])
end
